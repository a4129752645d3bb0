"""Integer expressions of launch files: + - * / // %, parentheses, ceil_div, min, max over named sizes."""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping

from isa.errors import SubcoreError

LIMIT = 1 << 63


def _divide(a: int, b: int) -> int:
    if a % b:
        raise ValueError(f"{a} / {b} is not an integer (use // or ceil_div)")
    return a // b


_BINARY: dict[type, Callable[[int, int], int]] = {
    ast.Add: lambda a, b: a + b,
    ast.Sub: lambda a, b: a - b,
    ast.Mult: lambda a, b: a * b,
    ast.Div: _divide,
    ast.FloorDiv: lambda a, b: a // b,
    ast.Mod: lambda a, b: a % b,
}
_CALLS: dict[str, Callable[..., int]] = {"ceil_div": lambda a, b: -(-a // b), "min": min, "max": max}


def evaluate(expression: str | int, names: Mapping[str, int], where: str) -> int:
    """Value of an expression. SubcoreError names `where` (file and key), the expression and what is wrong with it."""

    def value(node: ast.AST) -> int:
        if isinstance(node, ast.Constant) and type(node.value) is int:
            result = node.value
        elif isinstance(node, ast.Name):
            if node.id not in names:
                raise ValueError(f"unknown name {node.id!r}, known are {', '.join(sorted(names)) or 'none'}")
            result = names[node.id]
        elif isinstance(node, ast.BinOp) and type(node.op) in _BINARY:
            result = _BINARY[type(node.op)](value(node.left), value(node.right))
        elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
            result = -value(node.operand)
        elif (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Name)
            and node.func.id in _CALLS
            and not node.keywords
        ):
            result = _CALLS[node.func.id](*[value(a) for a in node.args])
        else:
            raise ValueError("only integers, sizes, + - * / // % ( ), ceil_div, min and max are allowed")
        if abs(result) >= LIMIT:
            raise ValueError("the value is too large")
        return result

    if type(expression) is int:
        return expression
    if not isinstance(expression, str) or len(expression) > 200:
        raise SubcoreError(f"{where}: expected an integer or an expression, not {expression!r}")
    try:
        return value(ast.parse(expression.strip(), mode="eval").body)
    except ZeroDivisionError:
        raise SubcoreError(f"{where}: {expression!r} divides by zero") from None
    except SyntaxError:
        raise SubcoreError(f"{where}: {expression!r} is not an expression") from None
    except (ValueError, TypeError, RecursionError) as error:
        raise SubcoreError(f"{where}: {expression!r}: {error}") from None
