"""File types by name, the same names and meanings as ripgrep's."""

from __future__ import annotations

from typing import Dict, List

_TABLE = """
asm: *.S *.asm *.s
awk: *.awk
bat batch: *.bat
bazel: *.BUILD *.bazel *.bazelrc *.bzl BUILD MODULE.bazel WORKSPACE WORKSPACE.bazel \
 WORKSPACE.bzlmod
c: *.[chH] *.[chH].in *.cats
clojure: *.clj *.cljc *.cljs *.cljx
cmake: *.cmake CMakeLists.txt
config: *.cfg *.conf *.config *.ini
cpp: *.[ChH] *.[ChH].in *.[ch]pp *.[ch]pp.in *.[ch]xx *.[ch]xx.in *.cc *.cc.in *.hh *.hh.in *.inl
crystal: *.cr *.ecr Projectfile shard.yml
cs csharp: *.cs
css: *.css *.scss
csv: *.csv
cython: *.pxd *.pxi *.pyx
d: *.d
dart: *.dart
diff: *.diff *.patch
docker: *Dockerfile*
elisp: *.el
elixir: *.eex *.ex *.exs *.heex *.leex *.livemd
elm: *.elm
erlang: *.erl *.hrl
fish: *.fish
fortran: *.F *.F77 *.F90 *.F95 *.f *.f77 *.f90 *.f95 *.pfo
fsharp: *.fs *.fsi *.fsx
go: *.go
graphql: *.graphql *.graphqls
groovy: *.gradle *.groovy
h: *.h *.hh *.hpp
haskell: *.c2hs *.cpphs *.hs *.hsc *.lhs
html: *.ejs *.htm *.html
java: *.java *.jsp *.jspx *.properties
jinja: *.j2 *.jinja *.jinja2
js javascript: *.cjs *.js *.jsx *.mjs *.vue
json: *.json *.sarif composer.lock
jsonl: *.jsonl
julia jl: *.jl
jupyter: *.ipynb *.jpynb
kotlin: *.kt *.kts
less: *.less
lisp: *.el *.jl *.lisp *.lsp *.sc *.scm
lock: *.lock package-lock.json
log: *.log
lua: *.lua
make: *.mak *.mk Makefile.* [Gg][Nn][Uu]makefile [Gg][Nn][Uu]makefile.am \
 [Gg][Nn][Uu]makefile.in [Mm]akefile [Mm]akefile.am [Mm]akefile.in
markdown md: *.markdown *.md *.mdown *.mdwn *.mdx *.mkd *.mkdn
matlab: *.m
ml: *.ml
nim: *.nim *.nimble *.nimf *.nims
nix: *.nix
objc: *.h *.m
ocaml: *.ml *.mli *.mll *.mly
perl: *.PL *.perl *.pl *.plh *.plx *.pm *.t
php: *.php *.php3 *.php4 *.php5 *.php7 *.php8 *.pht *.phtml
protobuf proto: *.proto
ps powershell: *.cdxml *.ps1 *.ps1xml *.psd1 *.psm1
py python: *.py *.pyi
qml: *.qml
r: *.R *.Rmd *.Rnw *.r *.rmd *.rnw
racket: *.rkt
rst: *.rst
ruby rb: *.gemspec *.rake *.rb *.rbw .irbrc Gemfile Rakefile config.ru
rust rs: *.rs
sass: *.sass *.scss
scala: *.sbt *.scala
sh bash shell: *.bash *.bashrc *.csh *.cshrc *.env *.ksh *.kshrc *.sh *.tcsh *.zsh .bash_login \
 .bash_logout .bash_profile .bashrc .cshrc .env .kshrc .login .logout .profile .tcshrc .zlogin \
 .zlogout .zprofile .zshenv .zshrc bash_login bash_logout bash_profile bashrc profile zlogin \
 zlogout zprofile zshenv zshrc
solidity: *.sol
sql: *.psql *.sql
svelte: *.svelte *.svelte.ts
swift: *.swift
tcl: *.tcl
tex: *.bib *.cls *.dtx *.ins *.ltx *.sty *.tex
tf: *.terraform.lock.hcl *.terraformrc *.tf *.tf.json *.tfrc *.tfvars *.tfvars.json terraform.rc
thrift: *.thrift
toml: *.toml Cargo.lock
ts typescript: *.cts *.mts *.ts *.tsx
twig: *.twig
txt: *.txt
verilog: *.sv *.svh *.v *.vh
vhdl: *.vhd *.vhdl
vim: *.vim .gvimrc .vimrc _gvimrc _vimrc gvimrc vimrc
vue: *.vue
xml: *.dtd *.rng *.sch *.xhtml *.xjb *.xml *.xml.dist *.xsd *.xsl *.xslt
yacc: *.y
yaml: *.yaml *.yml
zig: *.zig
zsh: *.zsh .zlogin .zlogout .zprofile .zshenv .zshrc zlogin zlogout zprofile zshenv zshrc
"""


def _read() -> Dict[str, List[str]]:
    table: Dict[str, List[str]] = {}
    for line in _TABLE.replace("\\\n", "").strip().split("\n"):
        names, _, globs = line.partition(": ")
        table.update({name: [str(glob) for glob in globs.split()] for name in names.split()})
    return table


KINDS = _read()


def globs_of(kind: str) -> List[str]:
    """The patterns of a type's file names; of an unknown type, the files with that extension."""
    name = kind.strip().lower().lstrip("*.")
    return KINDS.get(name, ["*." + name])
