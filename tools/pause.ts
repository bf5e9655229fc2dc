// Assembles the pause program, the first process of every pod, and writes it to plugins/cri/pause_gen.ts. It needs no
// compiler: the machine code stands below, one instruction a line. `--check` only says whether the file is stale.
// Not for the image around it; that is plugins/cri/pause_image.ts.
//
// What the program does: it blocks SIGINT, SIGTERM and SIGCHLD and takes them one by one with sigtimedwait(2). A child
// that ended is reaped (the pod's orphans are ours when the pod shares its PID namespace); the other two end it with 0.
// Blocking instead of handlers matters for PID 1 of a namespace: the kernel drops a signal with the default action sent
// to it, but never a blocked one (kernel/signal.c, sig_ignored).

// deno-lint-ignore-file no-console
import { fromFileUrl } from "@std/path";

const SIGNALS = (1 << (2 - 1)) | (1 << (15 - 1)) | (1 << (17 - 1)); // SIGINT, SIGTERM, SIGCHLD
const SIGCHLD = 17;
const WNOHANG = 1;
const SIGSET_BYTES = 8;

/** An instruction's bytes, a label, or a jump to a label. */
type Line = number[] | { label: string } | { jump: number; to: string };

function amd64(): Line[] {
  const call = { sigprocmask: 14, sigtimedwait: 128, wait4: 61, exitGroup: 231 };
  const u32 = (value: number) => [value & 255, (value >> 8) & 255, (value >> 16) & 255, value >>> 24];
  return [
    [0x68, ...u32(SIGNALS)], //                push SIGNALS        the set lives on the stack
    [0x31, 0xff], //                           xor edi, edi        SIG_BLOCK
    [0x48, 0x89, 0xe6], //                     mov rsi, rsp
    [0x31, 0xd2], //                           xor edx, edx
    [0x41, 0xba, ...u32(SIGSET_BYTES)], //     mov r10d, 8
    [0xb8, ...u32(call.sigprocmask)], //       mov eax, rt_sigprocmask
    [0x0f, 0x05], //                           syscall
    { label: "reap" },
    [0x48, 0xc7, 0xc7, 0xff, 0xff, 0xff, 0xff], // mov rdi, -1     any child
    [0x31, 0xf6], //                           xor esi, esi
    [0xba, ...u32(WNOHANG)], //                mov edx, WNOHANG
    [0x45, 0x31, 0xd2], //                     xor r10d, r10d
    [0xb8, ...u32(call.wait4)], //             mov eax, wait4
    [0x0f, 0x05], //                           syscall
    [0x85, 0xc0], //                           test eax, eax
    { jump: 0x7f, to: "reap" }, //             jg reap             there may be more
    { label: "wait" },
    [0x48, 0x89, 0xe7], //                     mov rdi, rsp
    [0x31, 0xf6], //                           xor esi, esi
    [0x31, 0xd2], //                           xor edx, edx        no timeout
    [0x41, 0xba, ...u32(SIGSET_BYTES)], //     mov r10d, 8
    [0xb8, ...u32(call.sigtimedwait)], //      mov eax, rt_sigtimedwait
    [0x0f, 0x05], //                           syscall
    [0x83, 0xf8, SIGCHLD], //                  cmp eax, SIGCHLD
    { jump: 0x74, to: "reap" }, //             je reap
    [0x85, 0xc0], //                           test eax, eax
    { jump: 0x78, to: "wait" }, //             js wait             interrupted
    [0x31, 0xff], //                           xor edi, edi
    [0xb8, ...u32(call.exitGroup)], //         mov eax, exit_group
    [0x0f, 0x05], //                           syscall
  ];
}

function arm64(): Line[] {
  const call = { sigprocmask: 135, sigtimedwait: 137, wait4: 260, exitGroup: 94 };
  const word = (value: number) => [value & 255, (value >> 8) & 255, (value >> 16) & 255, value >>> 24];
  const mov = (register: number, value: number) => word(0xd2800000 | (value << 5) | register);
  const compareX0 = (value: number) => word(0xf100001f | (value << 10));
  const callKernel = word(0xd4000001);
  const equal = 0, less = 11, greater = 12; // condition codes of b.cond
  return [
    mov(9, SIGNALS & 0xffff), //               mov x9, low half
    word(0xf2a00000 | ((SIGNALS >> 16) << 5) | 9), // movk x9, high half, lsl 16
    word(0xf81f0fe9), //                       str x9, [sp, -16]!  the set lives on the stack
    mov(0, 0), //                              mov x0, SIG_BLOCK
    word(0x910003e1), //                       mov x1, sp
    mov(2, 0), //                              mov x2, 0
    mov(3, SIGSET_BYTES), //                   mov x3, 8
    mov(8, call.sigprocmask), //               mov x8, rt_sigprocmask
    callKernel, //                             svc 0
    { label: "reap" },
    word(0x92800000), //                       mov x0, -1          any child
    mov(1, 0), //                              mov x1, 0
    mov(2, WNOHANG), //                        mov x2, WNOHANG
    mov(3, 0), //                              mov x3, 0
    mov(8, call.wait4), //                     mov x8, wait4
    callKernel, //                             svc 0
    compareX0(0), //                           cmp x0, 0
    { jump: greater, to: "reap" }, //          b.gt reap           there may be more
    { label: "wait" },
    word(0x910003e0), //                       mov x0, sp
    mov(1, 0), //                              mov x1, 0
    mov(2, 0), //                              mov x2, 0           no timeout
    mov(3, SIGSET_BYTES), //                   mov x3, 8
    mov(8, call.sigtimedwait), //              mov x8, rt_sigtimedwait
    callKernel, //                             svc 0
    compareX0(SIGCHLD), //                     cmp x0, SIGCHLD
    { jump: equal, to: "reap" }, //            b.eq reap
    compareX0(0), //                           cmp x0, 0
    { jump: less, to: "wait" }, //             b.lt wait           interrupted
    mov(0, 0), //                              mov x0, 0
    mov(8, call.exitGroup), //                 mov x8, exit_group
    callKernel, //                             svc 0
  ];
}

/** Bytes of a jump at `from` to `target`; both count from the start of the code. */
type EncodeJump = { size: number; encode(op: number, from: number, target: number): number[] };

const jumpAmd64: EncodeJump = { size: 2, encode: (op, from, target) => [op, (target - (from + 2)) & 255] };
const jumpArm64: EncodeJump = {
  size: 4,
  encode(condition, from, target) {
    const word = 0x54000000 | ((((target - from) / 4) & 0x7ffff) << 5) | condition;
    return [word & 255, (word >> 8) & 255, (word >> 16) & 255, word >>> 24];
  },
};

function assemble(lines: Line[], jumps: EncodeJump): Uint8Array {
  const labels = new Map<string, number>();
  let at = 0;
  for (const line of lines) {
    if ("label" in line) labels.set(line.label, at);
    else at += "jump" in line ? jumps.size : line.length;
  }
  const code: number[] = [];
  for (const line of lines) {
    if ("label" in line) continue;
    if (!("jump" in line)) code.push(...line);
    else code.push(...jumps.encode(line.jump, code.length, labels.get(line.to) ?? NaN));
  }
  return Uint8Array.from(code);
}

/** A static ELF executable: one segment, read and execute, and a stack that is not executable (elf(5)). */
function linkElf(machine: number, code: Uint8Array): Uint8Array {
  const base = 0x400000n, headerBytes = 64, segmentBytes = 56;
  const entry = headerBytes + 2 * segmentBytes;
  const file = new Uint8Array(entry + code.length);
  const view = new DataView(file.buffer);
  file.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]); // magic, 64 bits, little endian, version 1
  view.setUint16(16, 2, true); // ET_EXEC
  view.setUint16(18, machine, true);
  view.setUint32(20, 1, true);
  view.setBigUint64(24, base + BigInt(entry), true);
  view.setBigUint64(32, BigInt(headerBytes), true);
  view.setUint16(52, headerBytes, true);
  view.setUint16(54, segmentBytes, true);
  view.setUint16(56, 2, true);
  const segment = (at: number, type: number, flags: number, address: bigint, size: number, align: number) => {
    view.setUint32(at, type, true);
    view.setUint32(at + 4, flags, true);
    view.setBigUint64(at + 16, address, true);
    view.setBigUint64(at + 24, address, true);
    view.setBigUint64(at + 32, BigInt(size), true);
    view.setBigUint64(at + 40, BigInt(size), true);
    view.setBigUint64(at + 48, BigInt(align), true);
  };
  segment(headerBytes, 1, 5, base, file.length, 0x10000); // PT_LOAD; arm64 kernels may have pages of 64 KiB
  segment(headerBytes + segmentBytes, 0x6474e551, 6, 0n, 0, 16); // PT_GNU_STACK
  file.set(code, entry);
  return file;
}

/** The pause program of each architecture, as an ELF file. */
export function assemblePause(): { amd64: Uint8Array; arm64: Uint8Array } {
  return {
    amd64: linkElf(62, assemble(amd64(), jumpAmd64)), // EM_X86_64
    arm64: linkElf(183, assemble(arm64(), jumpArm64)), // EM_AARCH64
  };
}

/** Text of plugins/cri/pause_gen.ts. */
export function renderPause(): string {
  const text = (bytes: Uint8Array) => JSON.stringify(btoa(String.fromCharCode(...bytes)));
  const elf = assemblePause();
  return `// Generated by tools/pause.ts; do not edit. The pause program as an ELF file, in base64.
export const PAUSE_ELF = {
  amd64: ${text(elf.amd64)},
  arm64: ${text(elf.arm64)},
} as const;
`;
}

if (import.meta.main) {
  const path = fromFileUrl(new URL("../plugins/cri/pause_gen.ts", import.meta.url));
  if (!Deno.args.includes("--check")) Deno.writeTextFileSync(path, renderPause());
  else if (Deno.readTextFileSync(path) !== renderPause()) {
    console.error("plugins/cri/pause_gen.ts is stale: run `make gen`");
    Deno.exit(1);
  }
}
