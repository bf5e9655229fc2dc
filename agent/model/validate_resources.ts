/**
 * Rules for resources of containers and of the pod as a whole, and how they may change. Not for: what this agent does not
 * carry out (coverage.ts). Source: kubernetes pkg/apis/core/validation.
 */
import type { Container, Pod, PodSpec, ResourceRequirements } from "./gen/v1.ts";
import { type FieldPath, type Report, shown } from "./finding.ts";
import { qualifiedName } from "./names.ts";
import { type Amounts, combine, hasOwnResources, limitsOf, requestsOf } from "./qos.ts";
import { formatQuantity, parseQuantity } from "./quantity.ts";
import { checkName, checkOneOf, checkUnique, elements } from "./rules.ts";
import { didYouMean } from "./suggest.ts";

const standardResources = ["cpu", "memory", "ephemeral-storage"];
const lists = ["limits", "requests"] as const;

const isHugePages = (name: string): boolean => name.startsWith("hugepages-");
const isExtended = (name: string): boolean => name.includes("/") && qualifiedName(name) === undefined;
const amountIn = (list: Record<string, string> | undefined, name: string): number | undefined =>
  list !== undefined && Object.hasOwn(list, name) ? parseQuantity(list[name] ?? "") : undefined;

export function validateResources(resources: Container["resources"], at: FieldPath, report: Report): void {
  for (const list of lists) {
    for (const [name, quantity] of Object.entries(resources?.[list] ?? {})) {
      const here = [...at, list, name];
      if (!standardResources.includes(name) && !isHugePages(name) && !isExtended(name)) {
        const known = didYouMean(name, standardResources);
        report(here, `unknown resource ${shown(name)}: expected cpu or memory${known}`);
      }
      checkQuantity(quantity, here, report);
      if (isExtended(name) && !Number.isInteger(parseQuantity(quantity ?? "0") ?? 0)) {
        report(here, `expected a whole number of ${name}, got ${quantity}`);
      }
      if (list === "requests") checkRequest(name, quantity, resources?.limits, here, report);
    }
  }
  checkHugePages(resources, at, report);
}

function checkQuantity(quantity: string | undefined, at: FieldPath, report: Report): void {
  if ((parseQuantity(quantity ?? "0") ?? 0) < 0) {
    report(at, `expected a quantity that is not negative, got ${quantity}`);
  }
}

/** What cannot be given to several at once is requested as it is limited. */
function checkRequest(
  name: string,
  quantity: string,
  limits: Record<string, string> | undefined,
  at: FieldPath,
  report: Report,
): void {
  const value = parseQuantity(quantity ?? "") ?? 0;
  const limit = amountIn(limits, name);
  const exclusive = isHugePages(name) || isExtended(name);
  if (limit === undefined) {
    if (exclusive) report(at, `expected a limit of ${quantity} as well: ${name} is not overcommitted`);
  } else if (exclusive && value !== limit) {
    report(at, `expected the limit of ${limits![name]}, got ${quantity}: ${name} is not overcommitted`);
  } else if (value > limit) report(at, `expected at most the limit of ${limits![name]}, got ${quantity}`);
}

function checkHugePages(resources: ResourceRequirements | undefined, at: FieldPath, report: Report): void {
  const all = lists.flatMap((list) =>
    Object.entries(resources?.[list] ?? {}).map(([name, quantity]) => ({ list, name, quantity }))
  );
  const pages = all.filter(({ name }) => isHugePages(name));
  for (const { list, name, quantity } of pages) {
    const size = parseQuantity(name.slice("hugepages-".length)) ?? 0;
    const here = [...at, list, name];
    if (size <= 0) report(here, `expected a size of pages such as hugepages-2Mi, got ${shown(name)}`);
    else if ((parseQuantity(quantity ?? "0") ?? 0) % size !== 0) {
      report(here, `expected a multiple of the size of a page, got ${quantity}`);
    }
  }
  if (pages[0] !== undefined && !all.some(({ name }) => name === "cpu" || name === "memory")) {
    report([...at, pages[0].list, pages[0].name], "huge pages require cpu or memory: expected one of them");
  }
}

/** How a container takes a change of its resources. */
export function validateResizePolicy(
  container: Container,
  at: FieldPath,
  podRestartPolicy: string | undefined,
  report: Report,
): void {
  const seen = new Map<string, FieldPath>();
  for (const [i, { resourceName, restartPolicy }] of elements(container.resizePolicy)) {
    const here = [...at, "resizePolicy", i];
    checkOneOf(resourceName, ["cpu", "memory"], [...here, "resourceName"], report);
    checkUnique(resourceName, seen, [...here, "resourceName"], "the resource", report);
    checkOneOf(restartPolicy, ["NotRequired", "RestartContainer"], [...here, "restartPolicy"], report);
    if (restartPolicy === "RestartContainer" && podRestartPolicy === "Never") {
      report([...here, "restartPolicy"], "expected NotRequired, because the pod's restartPolicy is Never");
    }
  }
}

/** What a pod costs besides its containers. */
export function validateOverhead(
  overhead: Record<string, string> | undefined,
  at: FieldPath,
  report: Report,
): void {
  for (const [name, quantity] of Object.entries(overhead ?? {})) {
    checkName(name, qualifiedName, [...at, name], report);
    checkQuantity(quantity, [...at, name], report);
  }
}

const podResourceNames = ["cpu", "memory"];

/** Resources of the pod as a whole (KEP-2837): at least what its containers request, at most what they may use. */
export function validatePodResources(pod: Pod, report: Report): void {
  const spec = pod.spec!;
  const { resources } = spec;
  validateOverhead(spec.overhead, ["spec", "overhead"], report);
  if (resources === undefined) return;
  const at = ["spec", "resources"];
  for (const list of lists) {
    for (const name of Object.keys(resources[list] ?? {})) {
      if (podResourceNames.includes(name) || isHugePages(name)) continue;
      report([...at, list, name], `a pod as a whole has no ${name}: expected cpu, memory or hugepages-SIZE`);
    }
  }
  validateResources(resources, at, report);
  if (hasOwnResources(pod)) checkSums(pod, spec, at, report);
}

function checkSums(pod: Pod, spec: PodSpec, at: FieldPath, report: Report): void {
  const compare = (list: "limits" | "requests", sums: Amounts, names: (name: string) => boolean) => {
    for (const [name, quantity] of Object.entries(spec.resources?.[list] ?? {})) {
      const [sum, own] = [sums[name] ?? 0, parseQuantity(quantity) ?? 0];
      if (!names(name) || own >= sum) continue;
      const least = formatQuantity(name, sum);
      report([...at, list, name], `expected at least ${least}, what the containers have; got ${quantity}`);
    }
  };
  compare("requests", combine(pod, requestsOf), () => true);
  compare("limits", combine(pod, limitsOf), isHugePages);
  for (const kind of ["initContainers", "containers"] as const) {
    for (const [i, container] of elements(spec[kind])) {
      for (const [name, quantity] of Object.entries(container.resources?.limits ?? {})) {
        const most = amountIn(spec.resources?.limits, name);
        if (isHugePages(name) || most === undefined || (parseQuantity(quantity) ?? 0) <= most) continue;
        const limit = spec.resources!.limits![name];
        const here = ["spec", kind, i, "resources", "limits", name];
        report(here, `expected at most the pod's limit of ${limit}, got ${quantity}`);
      }
    }
  }
}
