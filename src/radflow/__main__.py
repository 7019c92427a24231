"""``python -m radflow``, and so ``torchrun -m radflow``, is the command line."""

from radflow.cli import main

if __name__ == "__main__":
    main()
