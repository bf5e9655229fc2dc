/**
 * A container's last words, cut to what a status takes. Pure. Source: the kubelet's limits for termination messages
 * (pkg/kubelet/container) and how it falls back to logs. Not for: reading files (lib/file_end.ts).
 */
import type { Container, Pod } from "./gen/v1.ts";
import { concatBytes, createLogParser, renderLogLine } from "./cri_log.ts";

/** Bytes of one message. */
export const maxMessage = 4096;
/** Bytes of all messages of a pod, shared equally among its containers. */
const maxPodMessages = 12 * 1024;
/** What stands in for a message: at most so many lines, and bytes, from the end of the log. */
const logLines = 80;
const logBytes = 2048;
/** So much of a log's end holds the lines wanted from it, each with its head: runtimes cut lines at 16 KiB. */
export const logEnd = 64 * 1024;

const encoder = new TextEncoder();

/** At most so many bytes of UTF-8 from the beginning of a text; no character is cut. */
export function firstBytes(text: string, most: number): string {
  if (text.length * 3 <= most) return text;
  const { read } = encoder.encodeInto(text, new Uint8Array(most));
  return text.slice(0, read);
}

/** How many bytes at the beginning are the rest of a character that began before. */
const cutCharacter = (bytes: Uint8Array): number => {
  const first = bytes.findIndex((byte) => (byte & 0xc0) !== 0x80);
  return first > 0 && first < 4 ? first : 0;
};

/** The end of what was left, as text. Bytes that are none show as U+FFFD. `whole`: nothing came before these bytes. */
export function messageText(bytes: Uint8Array, whole: boolean, most = maxMessage): string {
  const end = bytes.subarray(Math.max(0, bytes.length - most));
  const from = whole && end.length === bytes.length ? 0 : cutCharacter(end);
  return firstBytes(new TextDecoder().decode(end.subarray(from)), most);
}

/** The last lines of a log in the CRI format, of which these bytes are the end. */
export function lastLines(log: Uint8Array): string {
  const parser = createLogParser();
  const lines = [...parser.push(log), ...parser.end()].slice(-logLines);
  return messageText(concatBytes(lines.map((line) => renderLogLine(line, false))), true, logBytes);
}

/** Whether the log stands in for a message that was not left. */
export const fallsBack = (container: Container | undefined, exitCode: number | undefined): boolean =>
  container?.terminationMessagePolicy === "FallbackToLogsOnError" && exitCode !== 0;

/** What a status shows of the runtime's message and the container's own, as long as one of this pod may be. */
export function shownMessage(pod: Pod, runtimes: string | undefined, own: string | undefined): string {
  const { containers = [], initContainers = [], ephemeralContainers = [] } = pod.spec ?? {};
  const count = containers.length + initContainers.length + ephemeralContainers.length;
  const text = [runtimes, own].filter((part) => part).join(": ");
  return firstBytes(text, Math.floor(maxPodMessages / Math.max(1, count)));
}
