/**
 * Upper bounds of the buckets in microseconds: powers of two up to 16 s. The bucket of a latency is
 * found by counting leading zeros, so that measuring costs next to nothing.
 */
const bucketCount = 25;

/** How long something took, as counts in buckets; the memory is fixed. */
export class Histogram {
  readonly #counts = new Float64Array(bucketCount + 1);
  #sumUs = 0;

  observe(durationMs: number): void {
    const durationUs = durationMs * 1000;
    this.#sumUs += durationUs;
    // The bucket is the least power of two that is not below: 1 for (0, 1], 2 for (1, 2], 4 for (2, 4].
    const bucket = durationUs <= 1 ? 0 : 32 - Math.clz32(Math.ceil(durationUs) - 1);
    const index = Math.min(bucket, bucketCount);
    this.#counts[index] = (this.#counts[index] ?? 0) + 1;
  }

  /** How many were observed. */
  get count(): number {
    return this.#counts.reduce((sum, count) => sum + count, 0);
  }

  /** The lines of a Prometheus histogram, in seconds. */
  *lines(name: string, labels: string): Generator<string, void, undefined> {
    let total = 0;
    for (const [index, count] of this.#counts.entries()) {
      total += count;
      const bound = index < bucketCount ? String(2 ** index / 1e6) : '+Inf';
      yield `${name}_bucket{${labels},le="${bound}"} ${total}`;
    }
    yield `${name}_sum{${labels}} ${this.#sumUs / 1e6}`;
    yield `${name}_count{${labels}} ${total}`;
  }
}

/** One kind of request: how long it took, and how often which error was the answer. */
export class OperationMetrics {
  readonly latency: Histogram = new Histogram();
  readonly errors: Map<string, number> = new Map();

  succeeded(durationMs: number): void {
    this.latency.observe(durationMs);
  }

  /** `errno` is the name or the number of the answer; there are as many as there are error numbers. */
  failed(durationMs: number, errno: string | number): void {
    this.latency.observe(durationMs);
    const key = String(errno);
    this.errors.set(key, (this.errors.get(key) ?? 0) + 1);
  }
}

/** A number that only grows. */
export class Counter {
  value = 0;

  add(amount = 1): void {
    this.value += amount;
  }
}

/** One number, as it is now. */
export interface Measure {
  /** `vost_…`, with the unit in it; `_total` at the end of what only grows. */
  readonly name: string;
  readonly help: string;
  readonly type: 'counter' | 'gauge';
  readonly value: number;
  /** Tells apart the numbers of one name, such as `cache="trees"`; these must follow each other. */
  readonly label?: string;
}

/**
 * The counters of one mount, told in the Prometheus text format (version 0.0.4). Names and labels
 * come from the code, never from the repository, so their number is bounded.
 */
export class Metrics {
  readonly #operations = new Map<string, OperationMetrics>();
  readonly #sources: (() => Iterable<Measure>)[] = [];

  /** The metrics of one kind of request; the same object for the same name, to be kept by the caller. */
  operation(name: string): OperationMetrics {
    let operation = this.#operations.get(name);
    if (operation === undefined) {
      operation = new OperationMetrics();
      this.#operations.set(name, operation);
    }
    return operation;
  }

  /** Content that programs have read through the mount, and written, as far as it came by here. */
  readonly readBytes: Counter = this.counter('vost_read_bytes_total', 'Bytes read by programs.');
  readonly writtenBytes: Counter = this.counter(
    'vost_written_bytes_total',
    'Bytes written by programs.',
  );

  /** A new counter; its name ends in `_total`. */
  counter(name: string, help: string): Counter {
    const counter = new Counter();
    this.measure(() => [{ name, help, type: 'counter', value: counter.value }]);
    return counter;
  }

  /** Numbers that are taken, together, when somebody asks for the metrics. */
  measure(source: () => Iterable<Measure>): void {
    this.#sources.push(source);
  }

  /** Everything, as text. */
  text(): string {
    return `${[...this.#lines()].join('\n')}\n`;
  }

  *#lines(): Generator<string, void, undefined> {
    let last: string | undefined;
    for (const source of this.#sources) {
      for (const { name, help, type, value, label } of source()) {
        if (name !== last) yield* header(name, help, type);
        last = name;
        yield label === undefined ? `${name} ${value}` : `${name}{${label}} ${value}`;
      }
    }
    const latency = 'vost_operation_duration_seconds';
    yield* header(latency, 'How long requests of the kernel took to answer.', 'histogram');
    for (const [name, operation] of this.#operations) {
      yield* operation.latency.lines(latency, `operation="${name}"`);
    }
    const errors = 'vost_operation_errors_total';
    yield* header(errors, 'Requests of the kernel that were answered with an error.', 'counter');
    for (const [name, operation] of this.#operations) {
      for (const [errno, count] of operation.errors) {
        yield `${errors}{operation="${name}",errno="${errno}"} ${count}`;
      }
    }
  }
}

function header(name: string, help: string, type: string): [string, string] {
  return [`# HELP ${name} ${help}`, `# TYPE ${name} ${type}`];
}
