"""Everything that takes part."""

from .contest import Contestant
from .gpu_peers import GPU_PEERS
from .library_peers import LIBRARY_PEERS
from .ours import OURS, RESIDENT
from .torch_peers import TORCH_PEERS


def contestants(device: str) -> tuple[Contestant, ...]:
    """Return all, evaltool first; on a GPU also what scores tensors that are there."""
    ours = OURS if device == "cpu" else (*OURS, *RESIDENT)
    return (*ours, *TORCH_PEERS, *LIBRARY_PEERS, *GPU_PEERS)
