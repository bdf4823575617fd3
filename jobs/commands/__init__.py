"""The commands of `widthlaw`, one file each; `jobs.cli` imports a file when its command is called."""
