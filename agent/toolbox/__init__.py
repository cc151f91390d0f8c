"""What runs inside the sandbox: commands, files and edits, answered over one channel.

Self-contained: shipped as a zip, standard library only, Python 3.8 or newer, imported by nobody on
the host. Everything in here runs beside hostile programs and is itself not trusted by the host.
"""
