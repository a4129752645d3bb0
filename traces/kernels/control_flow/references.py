"""Branches, calls and irregular loops: what the kernels beside this file compute, in plain Python."""

import numpy as np

from traces.kernels.reference import Inputs, Outputs

_WORD = 0xFFFFFFFF


def quicksort_recursive(inputs: Inputs) -> Outputs:
    return {"keys": np.sort(inputs["keys"], axis=1)}


def _interpret(code: list[list[int]], x: int, limit: int) -> int:
    stack, top, pc, accumulator = [0] * 16, 0, 0, 0
    for _ in range(limit):
        if pc >= len(code):
            break
        opcode, operand = code[pc]
        pc += 1
        if opcode == 0:
            accumulator += operand
        elif opcode == 1:
            accumulator *= 2 * operand + 1
        elif opcode == 2:
            accumulator ^= x
        elif opcode == 3:
            x = (x * 1664525 + 1013904223) & _WORD
        elif opcode == 4:
            stack[top % 16] = accumulator
            top += 1
        elif opcode == 5:
            top -= 1
            accumulator += stack[top % 16]
        elif opcode == 6:
            accumulator = int(f"{accumulator:032b}"[::-1], 2)
        elif opcode == 7:
            accumulator = accumulator << (operand & 31) | accumulator >> (-operand & 31)
        elif opcode == 8:
            pc += operand & 7 if accumulator & 1 else 0
        elif opcode == 9:
            accumulator ^= _WORD if x >> 31 else 0
        elif opcode == 10:
            accumulator = accumulator.bit_count() + x
        else:
            x ^= accumulator >> 5
        accumulator &= _WORD
    return accumulator


def bytecode_interpreter(inputs: Inputs) -> Outputs:
    code, limit = inputs["code"].tolist(), int(inputs["limit"])
    results = [_interpret(code, x & _WORD, limit) for x in inputs["input"].tolist()]
    return {"result": np.array(results, np.uint32).view(np.int32)}


def string_search(inputs: Inputs) -> Outputs:
    windows = np.lib.stride_tricks.sliding_window_view(inputs["text"], len(inputs["pattern"]))
    return {"count": np.array([(windows == inputs["pattern"]).all(axis=1).sum()], np.uint32)}


def collatz(inputs: Inputs) -> Outputs:
    steps = np.zeros(int(inputs["n"]), np.int32)
    for i in range(len(steps)):
        x = int(inputs["first"]) + i
        while x != 1:
            x = 3 * x + 1 if x & 1 else x // 2
            steps[i] += 1
    return {"steps": steps}
