"""python -m minigan: the command `minigan`, wherever Python finds the package."""

from minigan.cli.main import main

if __name__ == "__main__":
    main()
