/**
 * A small registry of metrics in the Prometheus text format 0.0.4, and the wrapper that times a port's methods. Not for:
 * deciding anything by a metric.
 */

export type Labels = Readonly<Record<string, string>>;

export interface Counter {
  inc(labels?: Labels, by?: number): void;
}
export interface Gauge {
  set(value: number, labels?: Labels): void;
}
export interface Histogram {
  observe(value: number, labels?: Labels): void;
}

export interface Metrics {
  /** Asking again for a name gives the same metric. Throws when it is one of another kind. */
  counter(name: string, help: string): Counter;
  gauge(name: string, help: string): Gauge;
  /** `buckets` are upper bounds, ascending; seconds unless the name says otherwise. */
  histogram(name: string, help: string, buckets?: readonly number[]): Histogram;
  /** The text that a scrape gets, sorted by name. */
  render(): string;
}

/** Beyond this many label sets a metric counts everything else under one set in which each value is `other`. */
const maxSeries = 256;
const defaultBuckets = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 120];

type Kind = "counter" | "gauge" | "histogram";
interface Series {
  labels: string;
  value: number;
  counts: number[];
  sum: number;
}
interface Family {
  kind: Kind;
  help: string;
  buckets: readonly number[];
  series: Map<string, Series>;
}

export function createMetrics(): Metrics {
  const families = new Map<string, Family>();
  const family = (kind: Kind, name: string, help: string, buckets: readonly number[] = []): Family => {
    const found = families.get(name) ?? { kind, help, buckets, series: new Map() };
    if (found.kind !== kind) throw new TypeError(`metric ${name} is a ${found.kind}, not a ${kind}`);
    families.set(name, found);
    return found;
  };
  return {
    counter(name, help) {
      const own = family("counter", name, help);
      return { inc: (labels, by = 1) => void (seriesOf(own, labels).value += by) };
    },
    gauge(name, help) {
      const own = family("gauge", name, help);
      return { set: (value, labels) => void (seriesOf(own, labels).value = value) };
    },
    histogram(name, help, buckets = defaultBuckets) {
      const own = family("histogram", name, help, buckets);
      return { observe: (value, labels) => observe(own, seriesOf(own, labels), value) };
    },
    render: () =>
      [...families].sort(([a], [b]) => a < b ? -1 : 1).flatMap(([n, f]) => familyLines(n, f)).join(""),
  };
}

function seriesOf(family: Family, labels: Labels = {}): Series {
  const text = labelText(labels);
  const known = family.series.get(text);
  if (known !== undefined) return known;
  if (family.series.size >= maxSeries) {
    const rest = labelText(Object.fromEntries(Object.keys(labels).map((k) => [k, "other"])));
    return family.series.get(rest) ?? addSeries(family, rest);
  }
  return addSeries(family, text);
}

function addSeries(family: Family, labels: string): Series {
  const series = { labels, value: 0, counts: family.buckets.map(() => 0), sum: 0 };
  family.series.set(labels, series);
  return series;
}

function observe(family: Family, series: Series, value: number): void {
  series.value++;
  series.sum += value;
  const index = family.buckets.findIndex((bound) => value <= bound);
  if (index >= 0) series.counts[index]!++;
}

/** Escapes as the format asks: backslash, double quote, newline. */
function labelText(labels: Labels): string {
  const escape = (v: string) => v.replace(/[\\"\n]/g, (c) => c === "\n" ? "\\n" : "\\" + c);
  return Object.keys(labels).sort().map((k) => `${k}="${escape(labels[k]!)}"`).join(",");
}

function familyLines(name: string, family: Family): string[] {
  const help = family.help.replace(/[\\\n]/g, (c) => c === "\n" ? "\\n" : "\\\\");
  const head = `# HELP ${name} ${help}\n# TYPE ${name} ${family.kind}\n`;
  const series = [...family.series.values()].sort((a, b) => a.labels < b.labels ? -1 : 1);
  return [head, ...series.flatMap((s) => seriesLines(name, family, s))];
}

function seriesLines(name: string, family: Family, series: Series): string[] {
  const line = (suffix: string, labels: string, value: number) =>
    `${name}${suffix}${labels === "" ? "" : `{${labels}}`} ${value}\n`;
  if (family.kind !== "histogram") return [line("", series.labels, series.value)];
  const prefix = series.labels === "" ? "" : series.labels + ",";
  let below = 0;
  const buckets = family.buckets.map((bound, i) =>
    line("_bucket", `${prefix}le="${bound}"`, below += series.counts[i]!)
  );
  return [
    ...buckets,
    line("_bucket", `${prefix}le="+Inf"`, series.value),
    line("_sum", series.labels, series.sum),
    line("_count", series.labels, series.value),
  ];
}

/** Under which names a port's calls are counted. */
export interface CallMetrics {
  seconds: string;
  total: string;
  errors: string;
  labels(method: string): Labels;
}

const ownMetrics = (port: string): CallMetrics => ({
  seconds: "agent_port_seconds",
  total: "agent_port_calls_total",
  errors: "agent_port_errors_total",
  labels: (method) => ({ port, method }),
});

/**
 * The same port, with each method that returns a promise counted and timed, and its failures counted by reason: under
 * `agent_port_…`, or under the names that are given. Other results (values, streams) pass untouched.
 */
export function instrument<T extends object>(
  port: T,
  name: string,
  metrics: Metrics,
  as: CallMetrics = ownMetrics(name),
): T {
  const seconds = metrics.histogram(as.seconds, "Time that calls to the outside took.");
  const total = metrics.counter(as.total, "Calls to the outside.");
  const errors = metrics.counter(as.errors, "Calls to the outside that failed, by reason.");
  const watched = async (method: string, result: Promise<unknown>) => {
    const start = performance.now();
    try {
      return await result;
    } catch (error) {
      errors.inc({ ...as.labels(method), reason: reasonOf(error) });
      throw error;
    } finally {
      total.inc(as.labels(method));
      seconds.observe((performance.now() - start) / 1000, as.labels(method));
    }
  };
  const wrapped = new Map<PropertyKey, unknown>();
  return new Proxy(port, {
    get(target, key) {
      const value: unknown = Reflect.get(target, key, target);
      if (typeof value !== "function" || typeof key === "symbol") return value;
      const known = wrapped.get(key);
      if (known !== undefined) return known;
      const timed = (...args: unknown[]) => {
        const result: unknown = Reflect.apply(value, target, args);
        return result instanceof Promise ? watched(key, result) : result;
      };
      wrapped.set(key, timed);
      return timed;
    },
  });
}

function reasonOf(error: unknown): string {
  const reason = typeof error === "object" && error !== null && "reason" in error ? error.reason : undefined;
  if (typeof reason === "string") return reason;
  return error instanceof Error ? error.name : "Unknown";
}
