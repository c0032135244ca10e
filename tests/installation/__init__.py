"""What stands on a bare control plane: KubeRay, Freehold's charts, its operator, and hardware."""

from pathlib import Path

ROOT = Path(__file__).parents[2]
