"""Names in C and C++: identifiers of models and tensors, and string literals."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import permutations

from tinydeploy.errors import UsageError

_IDENTIFIER = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_KEYWORDS = """
    alignas alignof and and_eq asm auto bitand bitor bool break case catch char class compl concept
    const consteval constexpr constinit continue co_await co_return co_yield decltype default delete
    do double else enum explicit export extern false float for friend goto if inline int long
    mutable namespace new noexcept not not_eq nullptr operator or or_eq private protected public
    register requires restrict return short signed sizeof static struct switch template this throw
    true try typedef typename union unsigned using virtual void volatile wchar_t while xor xor_eq
"""
_TAKEN = """
    main setup loop std tinydeploy kernels assert complex ctype errno fenv float inttypes iso646
    limits locale math setjmp signal stdalign stdarg stdatomic stdbool stddef stdint stdio stdlib
    stdnoreturn string strings tgmath threads time uchar wchar wctype memory features alloca unistd
    sched pthread arduino version f r w x all clean edit_cache help install package package_source
    preinstall rebuild_cache test zero_check classifier verdict
    abort abs accept access acos alarm asin atan atexit atof atoi atol bind bsearch calloc cbrt ceil
    chdir clock close connect cos cosh ctime delay difftime div dup environ erf exit exp fabs fclose
    fdim feof fflush floor fma fmax fmin fmod fopen fork fprintf fputs fread free frexp fscanf fseek
    ftell fwrite gamma getc getchar getenv getpid gets gmtime hypot index ioctl j0 j1 jn kill labs
    ldexp ldiv link listen localtime log log10 log2 logb longjmp lrint lround malloc map memchr
    memcmp memcpy memmove memset micros millis mktime modf nice open pause perror pipe poll pow
    printf putc putchar puts qsort raise rand random read realloc recv remove rename rewind rindex
    rint round scanf select send serial setbuf shutdown sin sinh sleep socket sprintf sqrt srand
    stderr stdin stdout strcat strchr strcmp strcpy strdup strlen strncmp strstr strtok strtol sync
    system tan tanh tmpfile tolower tone toupper trunc truncate ungetc unlink usleep vprintf wait
    wire write y0 y1 yield yn
"""
"""What is somebody else's: functions, namespaces and headers that programs have, F_OK and its like, targets
of CMake's, and what the examples are made of."""
_NOT_FOR_US = frozenset((_KEYWORDS + _TAKEN).split())
_MACROS = re.compile(
    r"linux|unix|i386|NULL|EOF|BUFSIZ|NAN|INFINITY|HUGE_VAL|PI|TRUE|FALSE|HIGH|LOW|INPUT|OUTPUT|DEC|HEX|OCT|BIN|CHANGE|RISING"
    r"|FALLING|DEFAULT|EXTERNAL|INTERNAL|[AB][01]\d*|(?:U?INT\w*|SIZE|PTRDIFF|[SU]?CHAR|U?SHRT|U?LONG|FLT|DBL|LDBL|WCHAR|SIG"
    r"|LC|M|FP|EXIT|RAND|SEEK)_[A-Z0-9_]+"
)
"""What compilers, C's headers and Arduino's define, as they write it: no namespace can be called so."""
_INTERFACE = """
    init input output run reset self quantize dequantize top label set op status model hook data
"""
LONGEST = 48


def model_name(stem: str) -> str:
    """The identifier of a model whose file has this name without its ending."""
    name = re.sub(r"[^A-Za-z0-9]+", "_", stem).strip("_")[:LONGEST].rstrip("_")
    if not name:
        return "model"
    if not name[0].isalpha():
        return f"model_{name}"
    return f"{name}_model" if _is_taken(name) else name


def checked_name(name: str) -> str:
    """`name`, which somebody has given a model. Raises UsageError if C or C++ could not call it so."""
    if not _IDENTIFIER.fullmatch(name) or "__" in name or len(name) > LONGEST:
        rule = f"letters, digits and single underscores, a letter first, at most {LONGEST}"
        raise UsageError(f"'{name}' is no name for a model in C", f"take {rule}, as {model_name(name)}")
    if _is_taken(name):
        raise UsageError(f"a model cannot be called '{name}': C or C++ has that name", f"take {name}_model")
    return name


def _is_taken(name: str) -> bool:
    """Whether it is somebody else's, or of the types that end in _t, which POSIX keeps for itself."""
    taken = name.lower() in _NOT_FOR_US or name.endswith("_t")
    return taken or _MACROS.fullmatch(name) is not None


def check_apart(names: Sequence[str]) -> None:
    """Raises UsageError if two models' names are the same, or one is what the other's interface has."""
    hint = "give one of them a name: NAME=FILE"
    for first, second in permutations(names, 2):
        if first.upper() == second.upper():
            raise UsageError(f"two models are called {first}", hint)
        if second.upper().startswith(f"{first.upper()}_"):
            word = second[len(first) + 1 :].split("_")[0].lower()
            if word in _INTERFACE.split():
                raise UsageError(f"the models {first} and {second} would have functions of one name", hint)


def tensor_names(names: Sequence[str]) -> tuple[str, ...]:
    """Identifiers of a model's inputs or outputs: "" if it is alone, else by its name or all by number."""
    if len(names) == 1:
        return ("",)
    found = [_tensor_name(name) for name in names]
    if "" in found or len({name.upper() for name in found}) < len(found):
        return tuple(str(number) for number in range(len(names)))
    return tuple(found)


def _tensor_name(name: str) -> str:
    bare = re.sub(r"^serving_default_|:\d+$", "", name)
    bare = re.sub(r"^(?:StatefulPartitionedCall|PartitionedCall)(?::\d+)?;?", "", bare).split(";")[0]
    return re.sub(r"[^A-Za-z0-9]+", "_", bare).strip("_")[-LONGEST:].strip("_").lower()


def literal(text: str) -> str:
    """`text` as a C string literal of UTF-8: what is not plain ASCII is written in octal."""
    plain = {ord('"'): '\\"', ord("\\"): "\\\\", ord("?"): "\\?"}
    written = (
        plain.get(byte, chr(byte) if 32 <= byte < 127 else f"\\{byte:03o}")
        for byte in text.encode("utf-8", "replace")
    )
    return f'"{"".join(written)}"'


def comment(text: str) -> str:
    """`text` for a comment of either kind: printable ASCII in one line that does not end it."""
    plain = "".join(char if 32 <= ord(char) < 127 else "?" for char in text)
    return plain.replace("*/", "* /").replace("/*", "/ *").replace("??", "? ?").rstrip("\\").strip()
