"""What runs a program: machine code made by LLVM, Python, or the JavaScript of Node.

With this module you can

- have one for a program:        machine = PythonMachine(Job(program, outputs, …))
- run it over rows:              outputs = machine.run(parameters, rows, number_of_rows)

`microgrant.compiler.targets` chooses among them. They compute the same. The native one is for any
number of threads at once, and uses several itself where there are many rows; the interpreter does
not hold it up, as the code runs outside of Python's global lock.
"""

from __future__ import annotations

import ctypes
import json
import os
import threading
from array import array
from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar

from ..extras import in_browser, what_brings
from ..ops.table import Operation
from . import llvm
from .listing import listing
from .loops import translate_rolled
from .macros import NativeProgram
from .program import Job, Program
from .rolled import repetitive, rolled
from .source import JavaScriptSource, PythonSource, Source
from .sums import SumProgram
from .tables import Buffer, address, as_lists, empty

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

__all__ = ["JavaScriptMachine", "Machine", "NativeMachine", "PythonMachine"]

# Many rows are cut into segments, each of which is summed up by itself. How they are cut depends on
# the work alone, and so the results do not depend on the number of cores.
SEGMENTS = (2, 4, 8, 16, 32)  # to be shared out evenly among as many cores
SEGMENT_WORK = 8_000_000  # instructions times rows: some hundreds of microseconds
SEGMENT_ROWS = 16  # several vectors, as the table is read once for all of a block
# Python hears Ctrl-C between two calls only, and so none of them lasts long.
CALL_WORK = 50_000_000  # some hundredths of a second
BLOCK = 64  # rows: of so many or a multiple, a call leaves no lane of a vector idle


class Machine:
    """A program that can be run. A subclass says what there is to know of its target:

    target: its name.
    primitives: the operations that it computes by itself; others are made of those.
    program: the kind of its programs: a `SumProgram` or a `NativeProgram`, if it knows the
        instructions of these as well.
    source: what writes its programs for people to read.
    word: what an operation of the table is to have, so that the target knows it.
    """

    target: ClassVar[str]
    primitives: ClassVar[frozenset[str]]
    program: ClassVar[type[Program]] = Program
    source: ClassVar[type[Source]] = PythonSource
    word: ClassVar[str] = ""

    def __init__(self, job: Job) -> None:
        self.outputs, self.per_row = len(job.outputs), job.per_row

    @classmethod
    def prepare(cls) -> None:
        """Import what it needs; an ImportError says how to install what is missing."""

    @classmethod
    def refusal(cls, operation: Operation) -> str:
        """Why it cannot run an operation of a user's own; nothing if it can."""
        return "is written in Python"

    def run(self, parameters: Buffer, rows: Buffer, number_of_rows: int) -> Buffer:
        """The outputs; with `per_row` those of each row, one row after the other."""
        raise NotImplementedError


class PythonMachine(Machine):
    """Runs the straight line that `microgrant.compiler.source` writes.

    Its numbers are local variables, with which Python is faster than with loops over lists.
    """

    target = "python"
    primitives = PythonSource.primitives
    program = SumProgram

    def __init__(self, job: Job) -> None:
        super().__init__(job)
        self.function = PythonSource(job).function()

    @classmethod
    def refusal(cls, operation: Operation) -> str:
        """None."""
        return ""

    def run(self, parameters: Buffer, rows: Buffer, number_of_rows: int) -> Buffer:
        """The outputs, by Python."""
        results = self.function(parameters.tolist(), as_lists(rows, number_of_rows))
        numbers = [x for row in results for x in row] if self.per_row else results
        out = empty(len(numbers))
        out[:] = array("d", numbers)
        return out


class JavaScriptMachine(Machine):
    """Has Node run the text that a page will run, or the browser if this is one: to see what comes
    out of it, not to be fast."""

    target = "javascript"
    primitives = JavaScriptSource.primitives
    program = SumProgram
    source = JavaScriptSource
    word = "javascript= in the spelling in its row of the table"

    def __init__(self, job: Job) -> None:
        super().__init__(job)
        self.text = listing(JavaScriptSource, job)

    @classmethod
    def refusal(cls, operation: Operation) -> str:
        """None, where `define` was given a spelling."""
        known = "javascript" in operation.spelling
        return "" if known else 'is written in Python, without "javascript" in its spelling'

    def run(self, parameters: Buffer, rows: Buffer, number_of_rows: int) -> Buffer:
        """The outputs, by a Node of their own."""
        # json writes nan, inf and -0.0 as JavaScript does.
        given = ", ".join(map(json.dumps, (parameters.tolist(), as_lists(rows, number_of_rows))))
        found = f"new Float64Array(run({given}).flat())"
        numbers = self._in_browser(found) if in_browser() else self._by_node(found)
        out = empty(len(numbers))
        out[:] = numbers
        return out

    def _in_browser(self, found: str) -> Buffer:
        from pyodide.code import run_js

        return array("d", run_js(f"(() => {{{self.text}return {found}}})()").to_py())

    def _by_node(self, found: str) -> Buffer:
        import shutil
        import subprocess  # here, as not everybody has use for them

        node = shutil.which("node")
        if node is None:
            raise FileNotFoundError(
                "Node, which runs JavaScript here, is not installed: get it from "
                'https://nodejs.org, or compile for "python". A page needs only `source`'
            )
        finished = subprocess.run(
            [node],
            input=f"{self.text}process.stdout.write(Buffer.from({found}.buffer));".encode(),
            stdout=subprocess.PIPE,
            check=True,
        )
        return array("d", finished.stdout)


class NativeMachine(Machine):
    """Runs the code that LLVM makes of the text of `microgrant.compiler.llvm`."""

    target = "native"
    primitives = llvm.PRIMITIVES
    program = NativeProgram
    word = "native= in its row of the table"

    def __init__(self, job: Job) -> None:
        super().__init__(job)
        processor = host()
        text, self.layout = native_text(job, processor.width)
        self.engine = processor.engine(text)
        number, pointer = ctypes.c_int64, ctypes.c_void_p
        memory = [pointer] * 5
        self.run_address: int = self.engine.get_function_address("run")
        self.all = self._function("run", [pointer])
        self.before = self._function("before", [*memory, pointer])
        self.loop = self._function("loop", [*memory, pointer, number, number, pointer])
        self.after = self._function("after", [*memory, number, ctypes.c_double, pointer])
        self.table = address(self.layout.table) if self.layout.table else 0
        self.parameters = job.parameters
        self.spare: list[Frame] = []
        self.spaces: dict[int, list[Workspace]] = {}  # spare ones, by how many segments they have

    @classmethod
    def prepare(cls) -> None:
        """Have a look at the processor; this needs llvmlite."""
        try:
            host()
        except ImportError:
            brings = what_brings("llvmlite", "microgrant[native]")
            raise ImportError(f"native code needs llvmlite: {brings}") from None

    def _function(self, name: str, arguments: list[Any]) -> Callable[..., None]:
        prototype = ctypes.CFUNCTYPE(None, *arguments)
        return prototype(self.engine.get_function_address(name))

    def run(self, parameters: Buffer, rows: Buffer, number_of_rows: int) -> Buffer:
        """The outputs, by native code."""
        segments = self.segments(number_of_rows)
        if segments > 1:
            return self._run_segments(parameters, rows, number_of_rows, segments)
        try:
            frame = self.spare.pop()  # no other thread can get hold of the same
        except IndexError:
            frame = Frame(self)
        out = frame.means
        if self.per_row:
            out = empty(self.outputs * number_of_rows)
            frame.out = address(out)
        frame.room[:] = parameters
        frame.rows, frame.n = address(rows), number_of_rows
        self.all(frame.at)
        if not self.per_row:
            out = out.__copy__()
        self.spare.append(frame)
        return out

    def segments(self, number_of_rows: int) -> int:
        """Into how many pieces so many rows are cut."""
        work = self.layout.instructions * number_of_rows
        if work < SEGMENTS[0] * SEGMENT_WORK or number_of_rows < SEGMENTS[0] * SEGMENT_ROWS:
            return 1
        most = min(work // SEGMENT_WORK, number_of_rows // SEGMENT_ROWS)
        return max(n for n in SEGMENTS if n <= most)

    def _run_segments(
        self, parameters: Buffer, rows: Buffer, number_of_rows: int, segments: int
    ) -> Buffer:
        """The rows in pieces, shared out among the cores."""
        from concurrent.futures import wait  # here, as not everybody has so many rows

        out = empty(self.outputs * number_of_rows if self.per_row else self.outputs)
        space = self._space(segments)
        ctypes.memset(space.sums, 0, segments * self.layout.bytes_of_sums)
        self.before(address(parameters), space.start, 0, 0, self.table, 0)
        bounds = [number_of_rows * i // segments for i in range(segments + 1)]
        at_once = max(1, CALL_WORK // self.layout.instructions // BLOCK) * BLOCK
        workers, stopped = min(cores(), segments), threading.Event()

        # It holds on to all of the memory: a second Ctrl-C may end this method before its threads.
        def work(worker: int) -> None:
            own = self._space(0)
            p, x, to = map(address, (parameters, rows, out))
            for i in range(worker, segments, workers):
                sums, end = space.sums + i * self.layout.bytes_of_sums, bounds[i + 1]
                for begin in range(bounds[i], end, at_once):
                    if stopped.is_set():
                        return
                    next_one = min(begin + at_once, end)
                    self.loop(p, space.start, own.vectors, sums, self.table, x, begin, next_one, to)
            self.spaces[0].append(own)

        others = [pool().submit(work, worker) for worker in range(1, workers)]
        try:
            work(0)
            wait(others)
        except BaseException:
            stopped.set()
            wait(others)
            raise
        for other in others:
            other.result()
        p, to = address(parameters), address(out)
        self.after(p, space.start, 0, space.sums, self.table, segments, number_of_rows, to)
        self.spaces[segments].append(space)
        return out

    def _space(self, segments: int) -> Workspace:
        """A workspace for one thread at a time: one that was used before, as new memory is slow."""
        spare = self.spaces.setdefault(segments, [])
        try:
            return spare.pop()  # no other thread can get hold of the same
        except IndexError:
            return Workspace(self.layout, segments)


def native_text(job: Job, width: int) -> tuple[str, llvm.Layout]:
    """A program for LLVM: as loops, or where they would not pay, as a straight line."""
    stages = rolled(job)
    if repetitive(stages):
        return translate_rolled(job, stages, width)
    return llvm.translate(job, width)


class Workspace:
    """Memory for one run: scalars, vectors, and sums for each segment of the rows, all 0."""

    def __init__(self, layout: llvm.Layout, segments: int) -> None:
        size = layout.first_sum + segments * layout.bytes_of_sums
        self.memory = ctypes.create_string_buffer(size + llvm.ALIGNMENT)
        self.start = -(-ctypes.addressof(self.memory) // llvm.ALIGNMENT) * llvm.ALIGNMENT
        self.vectors = self.start + layout.first_vector
        self.sums = self.start + layout.first_sum


class Frame(ctypes.Structure):
    """The arguments of `run`, and memory for them; a thread has one of its own.

    NumPy takes longer to tell where an array is than to copy a small one. So parameters are copied
    to where they are expected, and means from where they come.
    """

    _fields_ = (
        *((name, ctypes.c_void_p) for name in ("memory", "table", "parameters", "rows", "out")),
        ("n", ctypes.c_int64),
    )

    def __init__(self, machine: NativeMachine) -> None:
        self.space = Workspace(machine.layout, 1)
        self.given = array("d", bytes(8 * machine.parameters))
        self.means = empty(0 if machine.per_row else machine.outputs)
        addresses = self.space.start, machine.table, address(self.given), 0, address(self.means)
        super().__init__(*addresses, 0)
        self.room = memoryview(self.given)
        self.at = ctypes.addressof(self)


class Host:
    """The processor of this machine, as LLVM sees it. Needs llvmlite."""

    def __init__(self) -> None:
        import llvmlite.binding as binding

        binding.initialize_native_target()
        binding.initialize_native_asmprinter()
        features = binding.get_host_cpu_features()
        self.width = 8 if features.get("avx512f") else 4 if features.get("avx") else 2
        self.features = features.flatten()
        self.binding = binding

    def engine(self, text: str) -> Any:
        """The native code of a text, to be asked for addresses of functions."""
        binding = self.binding
        module = binding.parse_assembly(text)
        machine = binding.Target.from_default_triple().create_target_machine(
            cpu=binding.get_host_cpu_name(), features=self.features, opt=1, jit=True
        )
        engine = binding.create_mcjit_compiler(module, machine)
        engine.finalize_object()
        return engine


@lru_cache(maxsize=1)
def host() -> Host:
    """The processor; an ImportError if llvmlite is missing."""
    return Host()


def cores() -> int:
    """How many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@lru_cache(maxsize=1)
def pool() -> ThreadPoolExecutor:
    from concurrent.futures import ThreadPoolExecutor

    return ThreadPoolExecutor(max(1, cores() - 1), thread_name_prefix="microgrant")


if hasattr(os, "register_at_fork"):  # the threads of a pool do not come along into a new process
    os.register_at_fork(after_in_child=pool.cache_clear)
