"""LoRA kernels for vLLM's CPU worker, in place of its own.

vLLM marks a token without adapter by the index -1. Its CPU kernels (0.32) gather the weights
of every token with it, and -1 picks the last adapter: a bare-model request took on the
adapter of its neighbours in the batch (pull requests 48421 and 49656, open). They also copy
one adapter's weights once per token. Here tokens are grouped by adapter, so each adapter is
one matrix product and bare tokens are left alone.

vLLM imports this module into its worker process, as the `worker_extension_cls`. The test that
mixes adapters and the bare model in one batch holds it to account.

Shapes: inputs (tokens, in), weights (adapters, 1, out, in) or (adapters, out, in), indices
(tokens,) with -1 for none, output (tokens, at least out).
"""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor
from vllm.lora.ops.torch_ops import lora_ops
from vllm.lora.punica_wrapper import punica_cpu


def bgmv_shrink(
    inputs: Tensor, weights: Tensor, output: Tensor, indices: Tensor, scaling: float = 1.0
) -> None:
    """Sets output to scaling * weights @ input, and to 0 for bare tokens."""
    output.zero_()
    for rows, product in _by_adapter(inputs, weights, output, indices):
        output[rows, : product.shape[1]] = scaling * product


def bgmv_expand(
    inputs: Tensor,
    weights: Tensor,
    output: Tensor,
    indices: Tensor,
    add_inputs: bool = True,
) -> None:
    """Adds weights @ input to output, or sets it."""
    # Adapter and model may be padded differently.
    width = min(weights.shape[-2], output.shape[1])
    bgmv_expand_slice(inputs, weights, output, indices, 0, width, add_inputs)


def bgmv_expand_slice(  # noqa: PLR0917  # vLLM's signature
    inputs: Tensor,
    weights: Tensor,
    output: Tensor,
    indices: Tensor,
    slice_offset: int,
    slice_size: int,
    add_inputs: bool = True,
) -> None:
    """The same for some columns of output."""
    part = output[:, slice_offset : slice_offset + slice_size]
    if not add_inputs:
        part.zero_()
    for rows, product in _by_adapter(inputs, weights, output, indices):
        part[rows] += product[:, :slice_size]


def _by_adapter(
    inputs: Tensor, weights: Tensor, output: Tensor, indices: Tensor
) -> Iterator[tuple[Tensor | slice, Tensor]]:
    """Yields the rows of each adapter in the batch, and weights @ input for them."""
    adapters = indices.unique().tolist()
    for adapter in adapters:
        if adapter < 0:
            continue
        # Nearly every batch has one adapter only: then nothing needs to be picked out.
        rows = slice(None) if len(adapters) == 1 else (indices == adapter).nonzero().squeeze(1)
        matrix = weights[adapter].view(weights.shape[-2:]).to(output.dtype)
        yield rows, inputs[rows].to(output.dtype) @ matrix.T


for _kernel in (bgmv_shrink, bgmv_expand, bgmv_expand_slice):
    # The prefill kernels call the first name, the wrapper for decoding holds the second.
    setattr(lora_ops, _kernel.__name__, _kernel)
    setattr(punica_cpu, _kernel.__name__, _kernel)


class CpuLoraKernels:
    """Adds nothing to the worker; naming it is what brings this module in."""
