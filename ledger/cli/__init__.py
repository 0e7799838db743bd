"""The command line: one module per group of commands, `render` for everything that is shown, `main` to run it."""
