/** What a quiz says. Pure: fields and choices in, sentences out. */

import type { QuizField } from './generated/catalog';
import { countText } from './number_text';
import { isolated, positionWords, visibleText } from './token_texts';

/** A position for each axis that is asked, by trait of the selection. */
export type Pick = Readonly<Record<string, number>>;

/** Combinations of right positions that get a button each. */
const MOST_ANSWERS = 6;

/** Whether every axis that is asked has a choice. */
export function isComplete(fields: readonly QuizField[], pick: Pick): boolean {
  return fields.length > 0 && fields.every(({ trait }) => pick[trait] !== undefined);
}

export function isRight(fields: readonly QuizField[], pick: Pick): boolean {
  return fields.every((field) => field.right.includes(pick[field.trait]));
}

/** Every combination of right positions, the first ones first. */
export function rightPicks(fields: readonly QuizField[], most = MOST_ANSWERS): Pick[] {
  let picks: Pick[] = [{}];
  for (const { trait, right } of fields) {
    picks = picks.flatMap((pick) => right.map((position) => ({ ...pick, [trait]: position }))).slice(0, most);
  }
  return picks;
}

/** A position as a choice: the name of a layer, '4 “cat”' for a token, else the number. */
export function optionText({ trait, texts }: QuizField, position: number): string {
  const text = texts[String(position)];
  if (trait === 'layer' && text !== undefined) {
    return visibleText(text);
  }
  return positionWords('', position, text ?? null).trim();
}

/** 'layer conv1, head 3'. */
export function pickWords(fields: readonly QuizField[], pick: Pick): string {
  return fields.map((field) => `${field.name} ${isolated(optionText(field, pick[field.trait]))}`).join(', ');
}

/** 'channel 20 or 21'; of several axes each with its own. */
export function rightWords(fields: readonly QuizField[]): string {
  const one = (field: QuizField) =>
    `${field.name} ${field.right.map((position) => isolated(optionText(field, position))).join(' or ')}`;
  return fields.map(one).join(', ');
}

/** What is said of a pick that was checked. */
export function resultSentence(fields: readonly QuizField[], pick: Pick, attempts: number): string {
  const tries = attempts > 1 ? ` Attempt ${countText(attempts)}.` : '';
  if (isRight(fields, pick)) {
    const also = fields.some(({ right }) => right.length > 1) ? ` Right is ${rightWords(fields)}.` : '';
    return `Right: ${pickWords(fields, pick)}.${also}${tries}`;
  }
  const known = fields.filter((field) => field.right.includes(pick[field.trait])).map(({ name }) => `the ${name}`);
  const partly = known.length ? ` Right so far: ${known.join(' and ')}.` : '';
  return `Not right: you chose ${pickWords(fields, pick)}. The answer is ${rightWords(fields)}.${partly}${tries}`;
}
