"""GPUs: what there is, whether torch can use it, and whether it computes."""

from __future__ import annotations

from featx.devices import cuda_problem, first_line, hides_all_gpus, nvidia_gpus
from featx.doctor.check import Check, State, in_gib

SIDE = 256  # of the matrices that are multiplied
LEAST_FREE = 0.5  # of a GPU's memory


def check_gpus() -> list[Check]:
    """Looks at every NVIDIA GPU that torch sees, and multiplies on each."""
    import torch

    reason = cuda_problem()
    if reason is None:
        return [_check_gpu(number) for number in range(torch.cuda.device_count())]
    there = nvidia_gpus()
    if there and not hides_all_gpus():
        return [
            Check(
                "GPU",
                State.FAILURE,
                f"{there[0]} is there, but torch cannot use it: {reason}",
                "install a driver that is new enough for this torch's CUDA "
                f"({torch.version.cuda}), or a torch for your driver; --device cpu computes without",
            )
        ]
    return [Check("GPU", State.OK, f"none ({reason}); featx computes on the CPU")]


def _check_gpu(number: int) -> Check:
    import torch

    name = f"GPU cuda:{number}"
    try:
        device = torch.device("cuda", number)
        found = torch.cuda.get_device_name(device)
        free, total = torch.cuda.mem_get_info(device)
        ones = torch.ones(SIDE, SIDE, device=device)
        if not bool((ones @ ones == SIDE).all()):
            return Check(
                name, State.FAILURE, f"{found}: a product of ones is wrong", "the GPU or its driver is broken"
            )
    except RuntimeError as error:
        return Check(
            name,
            State.FAILURE,
            first_line(error),
            "nvidia-smi shows who uses it; restarting the driver may help",
        )
    found = f"{found}: {in_gib(free)} of {in_gib(total)} free; computes"
    if free < LEAST_FREE * total:
        return Check(
            name, State.WARNING, found, "other programs hold memory (nvidia-smi): give a smaller --batch-size"
        )
    return Check(name, State.OK, found)
