"""``python -m evaltool``."""

from evaltool.cli import main

if __name__ == "__main__":
    main()
