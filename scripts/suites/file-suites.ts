import type { Suite } from './suite.ts';

// Each keeps its files where it can, so that there is something to compare afterwards.

interface FioJob {
  readonly name: string;
  readonly options: string;
}

/** `overwrite` writes into a file that is there already, and `fsync` commits while it is written. */
const fioJobs: readonly FioJob[] = [
  { name: 'sequential, psync', options: '--ioengine=psync --rw=write --bs=128k --size=96m' },
  { name: 'random, psync', options: '--ioengine=psync --rw=randwrite --bs=4k --size=32m' },
  {
    name: 'random into a stored file, psync',
    options: '--ioengine=psync --rw=randwrite --bs=4k --size=32m --overwrite=1 --file_append=0',
  },
  {
    name: 'odd sizes, four files, synced',
    options:
      '--ioengine=psync --rw=randwrite --bsrange=512-17k --bs_unaligned=1 --size=4m --numjobs=4 --fsync=500',
  },
  {
    name: 'random, libaio, direct',
    options: '--ioengine=libaio --iodepth=16 --direct=1 --rw=randwrite --bs=4k --size=32m',
  },
  {
    name: 'mixed, libaio',
    options: '--ioengine=libaio --iodepth=8 --rw=randrw --bsrange=4k-64k --size=32m',
  },
  { name: 'sequential, mmap', options: '--ioengine=mmap --rw=write --bs=64k --size=64m' },
  { name: 'random, mmap', options: '--ioengine=mmap --rw=randwrite --bs=4k --size=32m' },
  {
    name: 'random, mmap, synced',
    options: '--ioengine=mmap --rw=randwrite --bs=4k --size=8m --fdatasync=400',
  },
  {
    name: 'sequential, splice',
    options: '--ioengine=splice --rw=write --bs=64k --size=32m',
  },
];

const fio: readonly Suite[] = fioJobs.map(({ name, options }) => {
  const command = `fio --name=job --directory=. --randseed=7 --verify=crc32c --verify_fatal=1 --verify_state_save=0 ${options}`;
  return {
    name: `fio: ${name}`,
    program: 'fio',
    package: 'fio',
    script: `${command} --do_verify=1`,
    again: `${command} --verify_only`,
    timeoutSec: 180,
    figure: (output) => /^ *WRITE: bw=(\S+)/m.exec(output)?.[1] ?? '?',
  };
});

const others: readonly Suite[] = [
  {
    name: 'dbench, 4 clients',
    program: 'dbench',
    package: 'dbench',
    script: 'dbench --directory=. --timelimit=10 4',
    timeoutSec: 120,
    figure: (output) => /^Throughput (\S+ MB\/sec)/m.exec(output)?.[1] ?? '?',
  },
  {
    name: 'fs_mark, not synced',
    program: 'fs_mark',
    package: 'fsmark',
    script: 'fs_mark -d files -n 2000 -s 4096 -t 2 -D 16 -S 0 -k',
    timeoutSec: 120,
    figure: filesPerSecond,
  },
  {
    name: 'fs_mark, each file synced',
    program: 'fs_mark',
    package: 'fsmark',
    script: 'fs_mark -d files -n 150 -s 4096 -t 4 -D 4 -S 1 -k',
    timeoutSec: 120,
    figure: filesPerSecond,
  },
  {
    name: 'postmark',
    program: 'postmark',
    package: 'postmark',
    script: `postmark <<< "set location $PWD
set number 2000
set subdirectories 20
set transactions 10000
set seed 7
run
quit"`,
    timeoutSec: 120,
    figure: (output) =>
      `${/transactions \((\d+) per second\)/.exec(output)?.[1] ?? '?'} transactions/s`,
  },
  {
    name: 'bonnie++',
    program: 'bonnie++',
    package: 'bonnie++',
    script: 'bonnie++ -q -d . -s 128M -r 64M -n 2:16384:512:8 -u root',
    timeoutSec: 300,
    figure: (output) => {
      // bon_csv2txt(1): after the ten columns of the settings come put_char, put_block, rewrite, …
      const cells = output.trim().split('\n').at(-1)!.split(',');
      const megabytes = (index: number): string => (Number(cells[index]) / 1024).toFixed(0);
      return `block write ${megabytes(11)}, rewrite ${megabytes(13)}, read ${megabytes(17)} MB/s`;
    },
  },
];

/** What writes, and mostly checks what it reads. */
export const fileSuites: readonly Suite[] = [...fio, ...others];

function filesPerSecond(output: string): string {
  const cells = output.trim().split('\n').at(-1)!.trim().split(/\s+/);
  return `${cells[3] ?? '?'} files/s`;
}
