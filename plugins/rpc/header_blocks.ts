/**
 * Collects a header block from HEADERS and its CONTINUATIONs (RFC 9113, section 6.10), bounded in size and in number of
 * frames. Not for decoding it.
 */
import { concatBytes } from "../../agent/lib/bytes.ts";
import { ConnectionError, ErrorCode, Flag, type Frame, FrameType } from "./frames.ts";
import { headerFragment } from "./settings.ts";

export interface HeaderBlock {
  streamId: number;
  end: boolean;
  block: Uint8Array;
}

export interface HeaderBlocks {
  /**
   * Takes every frame that comes; the whole block once it has come.
   * @throws {ConnectionError} when another frame comes within a block, or the block is over the limit.
   */
  collect(frame: Frame): HeaderBlock | undefined;
}

// Counted for each fragment, so that a flood of empty CONTINUATIONs ends too.
const fragmentOverhead = 64;

export function createHeaderBlocks(maxBytes: number): HeaderBlocks {
  let open: { streamId: number; end: boolean; parts: Uint8Array[]; size: number } | undefined;

  function append(fragment: Uint8Array): void {
    if (open === undefined) return;
    open.size += fragment.length + fragmentOverhead;
    if (open.size > maxBytes + fragmentOverhead) {
      throw new ConnectionError(ErrorCode.ENHANCE_YOUR_CALM, `a header block is over ${maxBytes} octets`);
    }
    open.parts.push(fragment.slice());
  }

  function collect(frame: Frame): HeaderBlock | undefined {
    const continues = frame.type === FrameType.CONTINUATION;
    if (continues !== (open !== undefined) || (open !== undefined && open.streamId !== frame.streamId)) {
      throw new ConnectionError(
        ErrorCode.PROTOCOL_ERROR,
        "a header block is interrupted or CONTINUATION has no HEADERS",
      );
    }
    if (!continues && frame.type !== FrameType.HEADERS) return undefined;
    open ??= { streamId: frame.streamId, end: (frame.flags & Flag.END_STREAM) !== 0, parts: [], size: 0 };
    append(continues ? frame.payload : headerFragment(frame));
    if ((frame.flags & Flag.END_HEADERS) === 0) return undefined;
    const { streamId, end, parts } = open;
    open = undefined;
    return { streamId, end, block: concatBytes(parts) };
  }

  return { collect };
}
