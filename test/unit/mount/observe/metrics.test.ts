import { describe, expect, it } from 'vitest';
import { Histogram, Metrics } from '../../../../src/mount/observe/metrics.ts';

function buckets(histogram: Histogram): Map<string, number> {
  const counts = new Map<string, number>();
  for (const line of histogram.lines('h', 'a="b"')) {
    const [, bound, count] = /le="([^"]+)"} (\d+)$/.exec(line) ?? [];
    if (bound !== undefined) counts.set(bound, Number(count));
  }
  return counts;
}

describe('Histogram', () => {
  it('counts a latency in each bucket whose bound it does not exceed', () => {
    const histogram = new Histogram();
    for (const us of [0, 0.5, 1, 1.5, 2, 3, 4, 5, 20_000_000]) histogram.observe(us / 1000);
    const counts = buckets(histogram);
    expect(counts.get('0.000001')).toBe(3);
    expect(counts.get('0.000002')).toBe(5);
    expect(counts.get('0.000004')).toBe(7);
    expect(counts.get('0.000008')).toBe(8);
    expect(counts.get('16.777216')).toBe(8);
    expect(counts.get('+Inf')).toBe(9);
    expect(histogram.count).toBe(9);
  });

  it('is right at every bound', () => {
    for (let power = 0; power < 25; power++) {
      const bound = String(2 ** power / 1e6);
      const at = new Histogram();
      at.observe(2 ** power / 1000);
      expect(buckets(at).get(bound)).toBe(1);
      const above = new Histogram();
      above.observe((2 ** power * 1.01) / 1000);
      expect(buckets(above).get(bound)).toBe(0);
    }
  });
});

describe('Metrics', () => {
  it('writes the Prometheus text format', () => {
    const metrics = new Metrics();
    const help = 'Inodes that the kernel knows.';
    let value = 41;
    metrics.measure(() => [{ name: 'vost_inodes', help, type: 'gauge', value: (value += 1) }]);
    metrics.counter('vost_commits_total', 'Commits made.').add(2);
    const lookup = metrics.operation('lookup');
    lookup.succeeded(0.003);
    lookup.failed(1, 'EIO');
    lookup.failed(1, 'EIO');
    expect(metrics.operation('lookup')).toBe(lookup);
    const text = metrics.text();
    expect(text).toContain('# HELP vost_inodes Inodes that the kernel knows.\n');
    expect(text).toContain('# TYPE vost_inodes gauge\nvost_inodes 42\n');
    expect(text).toContain('# TYPE vost_commits_total counter\nvost_commits_total 2\n');
    expect(text).toContain('# TYPE vost_operation_duration_seconds histogram\n');
    expect(text).toContain(
      'vost_operation_duration_seconds_bucket{operation="lookup",le="0.000004"} 1\n',
    );
    expect(text).toContain('vost_operation_duration_seconds_count{operation="lookup"} 3\n');
    expect(text).toContain('vost_operation_errors_total{operation="lookup",errno="EIO"} 2\n');
    for (const line of text.trimEnd().split('\n')) {
      expect(line).toMatch(/^(# (HELP|TYPE) vost_\w+ .+|vost_\w+(\{[^}]+\})? [\d.e+-]+)$/);
    }
  });
});
