"""Everything that takes part."""

from .contest import Contestant
from .gpu_peers import GPU_PEERS
from .library_peers import LIBRARY_PEERS
from .ours import ON_CPU, ON_GPU, OURS
from .torch_peers import TORCH_PEERS


def contestants(device: str) -> tuple[Contestant, ...]:
    """Return all, evaltool first."""
    return (*OURS, *(ON_CPU if device == "cpu" else ON_GPU), *TORCH_PEERS, *LIBRARY_PEERS, *GPU_PEERS)
