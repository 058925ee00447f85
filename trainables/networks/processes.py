"""Several processes that share one training: how they meet, what each does, what they add up.

All of them run the whole trial. Of each batch a process computes its own rows; gradients and losses
are added up, so that all hold the same weights. Process 0 reports and keeps checkpoints.
"""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta

import numpy as np
import torch
from torch import Tensor, distributed, nn
from torch.distributed import TCPStore  # pyright: ignore[reportPrivateImportUsage]

from trainables.protocols import Apart

PATIENCE_S = 600.0
"""Seconds that a process waits for the others: to come, and to come to the end of a step."""
AT_ONCE = 2**24
"""Numbers that are added up together."""


@dataclass(frozen=True)
class Place:
    """Where the processes of a trial meet."""

    address: str
    port: int
    processes: int
    patience_s: float = PATIENCE_S


@contextlib.contextmanager
def hosted(address: str, processes: int, patience_s: float = PATIENCE_S) -> Iterator[Place]:
    """A place to meet while this lasts: a free port of this machine, at that address alone."""
    listening = socket.create_server((address, 0))
    port = listening.getsockname()[1]
    server = TCPStore(
        address, port, is_master=True, wait_for_workers=False, master_listen_fd=listening.detach()
    )
    try:
        yield Place(address, port, processes, patience_s)
    finally:
        del server


def pause() -> None:
    """Wait for others to come."""
    time.sleep(0.02)


@contextlib.contextmanager
def joined(
    at: Place,
    rank: int,
    device: str = "cpu",
    address: str = "",
    meanwhile: Callable[[], None] = pause,
) -> Iterator[None]:
    """This process, which others reach at `address`, is number `rank` while this lasts.

    GPUs talk by NCCL, CPUs by Gloo. Until all have come `meanwhile` is called, again and again; it
    may raise. Raises Apart where not all come in time.
    """
    if network := interface(address or at.address):
        # else a host's name decides, which many resolve to the loopback
        os.environ.setdefault("GLOO_SOCKET_IFNAME", network)
        os.environ.setdefault("NCCL_SOCKET_IFNAME", network)
    os.environ.setdefault("TORCH_NCCL_BLOCKING_WAIT", "1")  # else a timeout ends the process
    wait = timedelta(seconds=at.patience_s)
    backend = "nccl" if device == "cuda" else "gloo"
    try:
        store = TCPStore(at.address, at.port, is_master=False, wait_for_workers=False, timeout=wait)
        gather(store, at, rank, meanwhile)
        distributed.init_process_group(
            backend, store=store, rank=rank, world_size=at.processes, timeout=wait
        )
        distributed.all_reduce(torch.zeros(1, device=device))
    except RuntimeError as error:
        leave()
        raise Apart(
            f"the {at.processes} processes of the trial did not meet at {at.address}:{at.port}"
            f" within {at.patience_s:g} s; let machines of the cluster reach each other at all"
            f" ports ({str(error).splitlines()[0][:200]})"
        ) from error
    try:
        yield
    finally:
        leave()


def gather(store: TCPStore, at: Place, rank: int, meanwhile: Callable[[], None]) -> None:
    """Say that this process is there, and wait for the others where that can be interrupted.

    torch itself would wait in one call, for all its patience, for a process that has died.
    """
    store.set(f"here/{rank}", "")
    until = time.monotonic() + at.patience_s
    while not store.check([f"here/{other}" for other in range(at.processes)]):
        if time.monotonic() > until:
            raise RuntimeError("not all have come")
        meanwhile()


def leave() -> None:
    """Be alone again."""
    if distributed.is_initialized():
        distributed.destroy_process_group()


def interface(address: str) -> str:
    """The name of the network interface that has an address; "" where none is known to."""
    if sys.platform != "linux":
        return ""
    import fcntl

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        for _, name in socket.if_nameindex():
            with contextlib.suppress(OSError):  # it has no address
                asked = struct.pack("256s", name.encode()[:15])
                if socket.inet_ntoa(fcntl.ioctl(probe, 0x8915, asked)[20:24]) == address:
                    return name
    return ""


# ---- what a process does ------------------------------------------------------------------------


def group() -> tuple[int, int]:
    """This process's number and how many there are."""
    if distributed.is_available() and distributed.is_initialized():
        return distributed.get_rank(), distributed.get_world_size()
    return 0, 1


def parted(rows: np.ndarray, parts: int = 1) -> list[np.ndarray]:
    """This process's rows of a batch, in so many parts of about the same size, none of them empty.

    >>> [part.tolist() for part in parted(np.arange(5), 3)], len(parted(np.arange(2), 3))
    ([[0, 1], [2, 3], [4]], 2)
    """
    rank, processes = group()
    mine = np.array_split(rows, processes)[rank]
    return np.array_split(mine, min(parts, len(mine))) if len(mine) else []


def add_up(module: nn.Module, loss: Tensor) -> Tensor:
    """Give all processes the sum of their gradients; the sum of their losses.

    A parameter without a gradient in any of them has none: an optimizer leaves it alone.
    """
    if group()[1] == 1:
        return loss
    parameters = [p for p in module.parameters() if p.requires_grad]
    told = [float(p.grad is not None) for p in parameters]
    told = torch.tensor([*told, loss.item()], dtype=torch.float64, device=loss.device)
    summed(told)
    *there, total = told
    gradients = []
    for p, processes in zip(parameters, there, strict=True):
        if processes:
            p.grad = torch.zeros_like(p) if p.grad is None else p.grad
            gradients.append(p.grad)
    for some in bunches(gradients):
        flat = torch.cat([gradient.reshape(-1) for gradient in some])
        summed(flat)
        sizes = [gradient.numel() for gradient in some]
        for gradient, its in zip(some, flat.split(sizes), strict=True):
            gradient.copy_(its.view_as(gradient))
    return total


def bunches(tensors: Iterable[Tensor]) -> Iterator[list[Tensor]]:
    """Tensors in their order, as many at a time as are added up together."""
    some: list[Tensor] = []
    for tensor in tensors:
        if some and sum(t.numel() for t in some) + tensor.numel() > AT_ONCE:
            yield some
            some = []
        some.append(tensor)
    if some:
        yield some


def from_first(make: Callable[[], bytes], device: torch.device) -> bytes:
    """What process 0 makes, in all of them."""
    made = make() if group()[0] == 0 else b""
    size = torch.tensor([len(made)], device=device)
    summed(size)
    told = torch.zeros(int(size), dtype=torch.uint8, device=device)
    if made:
        told[:] = torch.frombuffer(bytearray(made), dtype=torch.uint8)
    with in_touch():
        distributed.broadcast(told, src=0)
    return told.cpu().numpy().tobytes()


def summed(tensor: Tensor) -> None:
    """The sum of all processes' tensors, in its place."""
    with in_touch():
        distributed.all_reduce(tensor)


@contextlib.contextmanager
def in_touch() -> Iterator[None]:
    """What the network says of the others is raised as Apart."""
    try:
        yield
    except torch.OutOfMemoryError:
        raise
    except RuntimeError as error:
        said = str(error).splitlines()[0][:300]
        raise Apart(f"process {group()[0]} lost touch with the others: {said}") from error
