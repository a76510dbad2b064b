/**
 * A reader of Python pickles that executes nothing: it builds plain values and hands the two places where Python
 * would run code (naming a global, calling it) to the caller, who knows a short list and refuses the rest.
 *
 * Opcodes: CPython Lib/pickletools.py, protocols 2 to 5, only those that data written by torch.save can contain.
 * @module
 */
import { VansError } from "../base/errors.ts";

/** A Python global such as `torch.FloatStorage`: only a name, never resolved to code. */
export class PickleGlobal {
  readonly name: string;
  constructor(name: string) {
    this.name = name;
  }
}

/** What a pickle can hold here. Lists and tuples are arrays; dicts are maps; `unknown` is what the caller built. */
export type PickleValue = unknown;

/** The caller's say in the three places where a pickle reaches outside itself. */
export interface PickleHandlers {
  /** A global is named (`module.name`). Throw to refuse it. */
  global(name: string): PickleGlobal;
  /** A global would be called with `args`. Throw to refuse. */
  call(callee: PickleGlobal, args: readonly PickleValue[]): PickleValue;
  /** State would be set on an object that `call` returned. Return the object to keep. */
  setState(target: PickleValue, state: PickleValue): PickleValue;
  /** A persistent id is resolved (torch: a storage). */
  persistent(id: PickleValue): PickleValue;
}

/** The error for every pickle that is damaged or asks for more than data. */
export function pickleRefused(problem: string, data: Readonly<Record<string, unknown>> = {}): VansError {
  return new VansError(
    "VANS_WEIGHTS_PICKLE_REFUSED",
    `the pickle inside the weight file is refused: ${problem}`,
    {
      why: "only tensors, dicts, lists, texts and numbers are read; nothing in a weight file is ever executed",
      fix: "save the plain state dict (torch.save(model.state_dict(), path)), or use a safetensors version",
      data,
    },
  );
}

const MARK = Symbol("mark");

/**
 * Reads one pickle.
 *
 * @throws `VANS_WEIGHTS_PICKLE_REFUSED`
 */
export function unpickle(bytes: Uint8Array, handlers: PickleHandlers): PickleValue {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const text = new TextDecoder("utf-8", { fatal: true });
  const stack: PickleValue[] = [];
  const memo = new Map<number, PickleValue>();
  let at = 0;

  const take = (count: number): number => {
    const start = at;
    if (count < 0 || count > bytes.length - at)
      throw pickleRefused(`it ends inside an instruction at byte ${at}`);
    at += count;
    return start;
  };
  const takeText = (count: number): string => {
    const start = take(count);
    try {
      return text.decode(bytes.subarray(start, at));
    } catch {
      throw pickleRefused(`the text at byte ${start} is not UTF-8`);
    }
  };
  const takeLine = (): string => {
    const end = bytes.indexOf(10, at);
    if (end < 0) throw pickleRefused(`it ends inside a name at byte ${at}`);
    const line = takeText(end - at);
    at++;
    return line;
  };
  const takeLength64 = (): number => Number(view.getBigUint64(take(8), true));
  const pop = (): PickleValue => {
    const value = stack.pop();
    if (value === undefined || value === MARK) throw pickleRefused(`its stack is empty at byte ${at}`);
    return value;
  };
  const peek = (): PickleValue => {
    const value = stack.at(-1);
    if (value === undefined || value === MARK) throw pickleRefused(`its stack is empty at byte ${at}`);
    return value;
  };
  const popToMark = (): PickleValue[] => {
    const index = stack.lastIndexOf(MARK);
    if (index < 0) throw pickleRefused(`a mark is missing at byte ${at}`);
    const items = stack.splice(index);
    items.shift();
    return items;
  };
  const recall = (index: number): PickleValue => {
    const value = memo.get(index);
    if (value === undefined) throw pickleRefused(`it refers to memo ${index}, which is not set`);
    return value;
  };
  const setItems = (target: PickleValue, items: readonly PickleValue[]): void => {
    if (!(target instanceof Map))
      throw pickleRefused(`items are set on something that is no dict, at byte ${at}`);
    if (items.length % 2 !== 0) throw pickleRefused(`a key has no value at byte ${at}`);
    for (let i = 0; i < items.length; i += 2) target.set(items[i], items[i + 1]);
  };
  const append = (target: PickleValue, items: readonly PickleValue[]): void => {
    if (!Array.isArray(target))
      throw pickleRefused(`items are added to something that is no list, at byte ${at}`);
    for (const item of items) target.push(item);
  };
  const takeGlobal = (module: PickleValue, name: PickleValue): PickleGlobal => {
    if (typeof module !== "string" || typeof name !== "string")
      throw pickleRefused(`a global has no name at byte ${at}`);
    return handlers.global(`${module}.${name}`);
  };
  const callGlobal = (): PickleValue => {
    const args = pop();
    const callee = pop();
    if (!(callee instanceof PickleGlobal) || !Array.isArray(args)) {
      throw pickleRefused(`it calls something that is no known function, at byte ${at}`);
    }
    return handlers.call(callee, args);
  };

  while (at < bytes.length) {
    const opcode = view.getUint8(take(1));
    switch (opcode) {
      case 0x80: // PROTO
        take(1);
        break;
      case 0x95: // FRAME
        take(8);
        break;
      case 0x2e: {
        // STOP
        const value = pop();
        if (stack.length > 0) throw pickleRefused("it ends with more than one value");
        return value;
      }
      case 0x28: // MARK
        stack.push(MARK);
        break;
      case 0x30: // POP
        if (stack.pop() === undefined) throw pickleRefused(`its stack is empty at byte ${at}`);
        break;
      case 0x31: // POP_MARK
        popToMark();
        break;
      case 0x32: // DUP
        stack.push(peek());
        break;
      case 0x4e: // NONE
        stack.push(null);
        break;
      case 0x88: // NEWTRUE
        stack.push(true);
        break;
      case 0x89: // NEWFALSE
        stack.push(false);
        break;
      case 0x4b: // BININT1
        stack.push(view.getUint8(take(1)));
        break;
      case 0x4d: // BININT2
        stack.push(view.getUint16(take(2), true));
        break;
      case 0x4a: // BININT
        stack.push(view.getInt32(take(4), true));
        break;
      case 0x8a: {
        // LONG1
        const count = view.getUint8(take(1));
        stack.push(signedInteger(bytes.subarray(take(count), at)));
        break;
      }
      case 0x47: // BINFLOAT, the one big-endian number
        stack.push(view.getFloat64(take(8), false));
        break;
      case 0x8c: // SHORT_BINUNICODE
        stack.push(takeText(view.getUint8(take(1))));
        break;
      case 0x58: // BINUNICODE
        stack.push(takeText(view.getUint32(take(4), true)));
        break;
      case 0x8d: // BINUNICODE8
        stack.push(takeText(takeLength64()));
        break;
      case 0x55: // SHORT_BINSTRING (Python 2 text)
        stack.push(takeText(view.getUint8(take(1))));
        break;
      case 0x54: // BINSTRING
        stack.push(takeText(view.getInt32(take(4), true)));
        break;
      case 0x43: // SHORT_BINBYTES
        stack.push(bytes.slice(take(view.getUint8(take(1))), at));
        break;
      case 0x42: // BINBYTES
        stack.push(bytes.slice(take(view.getUint32(take(4), true)), at));
        break;
      case 0x5d: // EMPTY_LIST
        stack.push([]);
        break;
      case 0x6c: // LIST
        stack.push(popToMark());
        break;
      case 0x61: {
        // APPEND
        const value = pop();
        append(peek(), [value]);
        break;
      }
      case 0x65: {
        // APPENDS
        const items = popToMark();
        append(peek(), items);
        break;
      }
      case 0x29: // EMPTY_TUPLE
        stack.push([]);
        break;
      case 0x74: // TUPLE
        stack.push(popToMark());
        break;
      case 0x85: // TUPLE1
        stack.push([pop()]);
        break;
      case 0x86: {
        // TUPLE2
        const second = pop();
        stack.push([pop(), second]);
        break;
      }
      case 0x87: {
        // TUPLE3
        const third = pop();
        const second = pop();
        stack.push([pop(), second, third]);
        break;
      }
      case 0x7d: // EMPTY_DICT
        stack.push(new Map());
        break;
      case 0x64: {
        // DICT
        const map = new Map();
        setItems(map, popToMark());
        stack.push(map);
        break;
      }
      case 0x73: {
        // SETITEM
        const value = pop();
        const key = pop();
        setItems(peek(), [key, value]);
        break;
      }
      case 0x75: {
        // SETITEMS
        const items = popToMark();
        setItems(peek(), items);
        break;
      }
      case 0x71: // BINPUT
        memo.set(view.getUint8(take(1)), peek());
        break;
      case 0x72: // LONG_BINPUT
        memo.set(view.getUint32(take(4), true), peek());
        break;
      case 0x94: // MEMOIZE
        memo.set(memo.size, peek());
        break;
      case 0x68: // BINGET
        stack.push(recall(view.getUint8(take(1))));
        break;
      case 0x6a: // LONG_BINGET
        stack.push(recall(view.getUint32(take(4), true)));
        break;
      case 0x63: {
        // GLOBAL
        const module = takeLine();
        stack.push(takeGlobal(module, takeLine()));
        break;
      }
      case 0x93: {
        // STACK_GLOBAL
        const name = pop();
        stack.push(takeGlobal(pop(), name));
        break;
      }
      case 0x52: // REDUCE
      case 0x81: // NEWOBJ
        stack.push(callGlobal());
        break;
      case 0x62: {
        // BUILD
        const state = pop();
        stack.push(handlers.setState(pop(), state));
        break;
      }
      case 0x51: // BINPERSID
        stack.push(handlers.persistent(pop()));
        break;
      default:
        throw pickleRefused(`instruction 0x${opcode.toString(16)} at byte ${at - 1} is not allowed`);
    }
  }
  throw pickleRefused("it has no end");
}

/** A little-endian two's complement integer; a bigint only where a number would round. */
function signedInteger(bytes: Uint8Array): number | bigint {
  let value = 0n;
  for (let i = bytes.length - 1; i >= 0; i--) value = (value << 8n) | BigInt(bytes[i]!);
  if (bytes.length > 0 && bytes[bytes.length - 1]! >= 128) value -= 1n << BigInt(8 * bytes.length);
  const small = Number(value);
  return Number.isSafeInteger(small) ? small : value;
}
