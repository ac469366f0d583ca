// Completes package-lock.json after `npm install`: node complete_lock.mjs
//
// npm writes no entry for an optional platform package that the registry at hand does not carry (a mirror may lack
// win32 or darwin builds), and `npm ci` then refuses the lock on every platform. Such packages are pinned to one exact
// version by their parent and named after their platform, so their entries can be written without the registry.
import { readFileSync, writeFileSync } from 'node:fs';

const SYSTEMS = ['darwin', 'linux', 'win32', 'android', 'freebsd', 'openharmony', 'openbsd', 'netbsd', 'sunos', 'aix'];
const PROCESSORS = ['arm64', 'x64', 'ia32', 'arm', 'ppc64', 'riscv64', 's390x', 'loong64', 'mips64el', 'wasm32'];
const LIBC = { gnu: 'glibc', musl: 'musl' };

const lock = JSON.parse(readFileSync('package-lock.json', 'utf-8'));
const added = [];

for (const [parent, entry] of Object.entries(lock.packages)) {
  for (const [name, version] of Object.entries(entry.optionalDependencies ?? {})) {
    const hoisted = `node_modules/${name}`;
    if (hoisted in lock.packages || `${parent}/${hoisted}` in lock.packages) {
      continue;
    }
    const words = name.split(/[-/]/);
    const os = SYSTEMS.find((system) => words.includes(system));
    const cpu = PROCESSORS.find((processor) => words.includes(processor));
    if (!/^\d/.test(version) || !cpu) {
      throw new Error(`${parent} wants ${name}@${version}, which is no platform package; run npm install again`);
    }
    const libc = LIBC[words.at(-1)];
    lock.packages[hoisted] = {
      version,
      cpu: [cpu],
      dev: true,
      optional: true,
      ...(os && { os: [os] }),
      ...(os === 'linux' && libc && { libc: [libc] }),
    };
    added.push(name);
  }
}

lock.packages = Object.fromEntries(Object.entries(lock.packages).sort(([a], [b]) => (a < b ? -1 : 1)));
writeFileSync('package-lock.json', `${JSON.stringify(lock, null, 2)}\n`);
console.log(`${added.length} platform packages added to package-lock.json`);
