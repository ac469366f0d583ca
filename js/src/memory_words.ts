/** The words for the maps of a memory: which part they show, how their rows stand, and why one is missing. Text only. */

import type { Catalog, MemoryEntry, Place } from './catalog';
import type { MemoryChoiceState } from './generated/traits';
import { countText } from './number_text';

type MapName = MemoryChoiceState['map'];
type UnitOrder = MemoryChoiceState['order'];

const LEARN = 'See mv.analysis.memory for what else can be measured.';

/** "cell of enc l0", "write weights of ntm.memory", "gate f of enc l0": a part of a memory. */
export function partWords({ layer, record }: Place, catalog: Catalog): string {
  const memory = catalog.memories[record.memory?.memory ?? -1];
  const kind = layer.kind.replace(/[._]/g, ' ');
  return memory ? `${kind} of ${memory.label}` : layer.label;
}

/** How the units are ordered; '' for their own order. */
export function orderWords(order: UnitOrder): string {
  switch (order) {
    case 'index':
      return '';
    case 'timescale':
      return 'by time constant, longest first';
    case 'similarity':
      return 'by similarity, neighbours are alike';
  }
}

/** What a map over time, or of one moment, shows besides the part. */
export function limitWords(map: MapName, order: UnitOrder, units: string): string {
  switch (map) {
    case 'time':
      return order === 'index' ? '' : `${units}s ${orderWords(order)}`;
    case 'cursor':
      return '';
    case 'wrote':
      return 'which step wrote what it holds, in shares of each row';
    case 'reads':
      return 'which step wrote what is read from it, in shares of each row';
  }
}

/** "channel 17", with " of " "channel 17 of 64". */
export function unitWords(units: string, index: number, size: number, of: string): string {
  return `${units} ${index}${of && of + countText(size)}`;
}

/** Why a part of a memory has no picture of this kind. */
export function memoryMapAbsence(map: MapName, place: Place, memory: MemoryEntry, whole: boolean): string {
  const { layer, record } = place;
  if (!record.frame && !record.memory?.time) {
    return record.message || 'nothing to show';
  }
  switch (map) {
    case 'time':
      return record.message || `${layer.label} has no time: it is there once`;
    case 'cursor':
      return `${layer.label} has one number per unit at a step: the map over time shows all of them`;
    case 'wrote':
      return wroteAbsence(place, memory, whole);
    case 'reads':
      return memory.law ? readsAbsence(memory) : noLaw(memory);
  }
}

function readsAbsence({ label, form, phase }: MemoryEntry): string {
  const what = form === 'slots' && !phase ? ' with the note "reads before the write" or "reads after the write"' : '';
  return `${label} has no read weights${what}: nothing says what is read from it. Show who wrote what it holds.`;
}

function wroteAbsence({ layer, record }: Place, memory: MemoryEntry, whole: boolean): string {
  if (memory.form === 'kv') {
    return `The attention that reads ${memory.label} was not recorded in this step: nothing says which entries are read.`;
  }
  if (!memory.law) {
    return noLaw(memory);
  }
  if (!whole && record.memory?.wrote) {
    return `${layer.label} has too many steps for a map of each unit. Show the whole memory.`;
  }
  return `${layer.label} is too long for a map of who wrote what: ask mv.analysis.memory.provenance for a part of it.`;
}

function noLaw({ label, note }: MemoryEntry): string {
  const because = note ? ` ${note}` : '';
  return `${label} has no gate that says what it keeps, so who wrote what cannot be told exactly.${because} ${LEARN}`;
}
