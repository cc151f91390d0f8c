"""One table a language; `languages` says how they are read."""

from __future__ import annotations

PYTHON = """
language: python
grammar: tree_sitter_python
suffixes: py pyi pyw
files: SConstruct SConscript wscript
runs: python pypy
identifiers: identifier
class_definition class
function_definition function
type_alias_statement type left
(module (expression_statement (assignment left: (identifier)) @constant))
(class_definition body: (block (expression_statement (assignment left: (identifier)) @field)))
"""

_SCRIPT = """
class_declaration class
abstract_class_declaration class
interface_declaration interface
enum_declaration enum
type_alias_declaration type
internal_module module
function_declaration function
generator_function_declaration function
function_signature function
method_definition method
method_signature method
abstract_method_signature method
public_field_definition field
property_signature field
(enum_body (property_identifier) @field)
(enum_body (enum_assignment) @field)
"""
_SCRIPT_PATTERNS = """
(variable_declarator name: (identifier) value: [(arrow_function) (function_expression)]) @function
(program (lexical_declaration (variable_declarator name: (identifier)) @constant))
(export_statement (lexical_declaration (variable_declarator name: (identifier)) @constant))
(assignment_expression left: (member_expression) \
right: [(arrow_function) (function_expression)]) @function
(pair key: (property_identifier) value: [(arrow_function) (function_expression)]) @method
"""
_SCRIPT_NAMES = """
identifiers: identifier property_identifier shorthand_property_identifier \
shorthand_property_identifier_pattern private_property_identifier
"""

JAVASCRIPT = (
    """
language: javascript
grammar: tree_sitter_javascript
suffixes: js jsx mjs cjs
files: Jakefile
runs: node nodejs bun
class_declaration class
class class
function_declaration function
generator_function_declaration function
method_definition method
field_definition field property
"""
    + _SCRIPT_PATTERNS
    + _SCRIPT_NAMES
)

TYPESCRIPT = (
    """
language: typescript
grammar: tree_sitter_typescript language_typescript
suffixes: ts mts cts
runs: deno ts-node tsx
"""
    + _SCRIPT
    + _SCRIPT_PATTERNS
    + _SCRIPT_NAMES.rstrip()
    + " type_identifier\n"
)

TSX = (
    TYPESCRIPT.replace("language: typescript", "language: tsx")
    .replace("language_typescript", "language_tsx")
    .replace("suffixes: ts mts cts\nruns: deno ts-node tsx", "suffixes: tsx")
)

GO = """
language: go
grammar: tree_sitter_go
suffixes: go
identifiers: identifier field_identifier type_identifier package_identifier
function_declaration function
method_declaration method
method_elem method
type_alias type
(type_spec type: (struct_type)) @struct
(type_spec type: (interface_type)) @interface
(type_spec) @type
(field_declaration name: (field_identifier)) @field
(source_file (const_declaration (const_spec) @constant))
(source_file (var_declaration (var_spec) @variable))
(source_file (var_declaration (var_spec_list (var_spec) @variable)))
"""

RUST = """
language: rust
grammar: tree_sitter_rust
suffixes: rs
identifiers: identifier type_identifier field_identifier shorthand_field_identifier
struct_item struct
enum_item enum
union_item union
trait_item trait
mod_item module
function_item function
function_signature_item function
type_item type
const_item constant
static_item constant
macro_definition macro
enum_variant field
field_declaration field
impl_item impl type
"""

JAVA = """
language: java
grammar: tree_sitter_java
suffixes: java
identifiers: identifier type_identifier
class_declaration class
interface_declaration interface
enum_declaration enum
record_declaration class
annotation_type_declaration interface
method_declaration method
constructor_declaration method
compact_constructor_declaration method
annotation_type_element_declaration method
enum_constant field
(field_declaration (variable_declarator) @field)
(constant_declaration (variable_declarator) @constant)
"""

_C = """
function_definition function declarator
preproc_def macro
preproc_function_def macro
type_definition type declarator
enumerator constant
(struct_specifier name: (_) body: (_)) @struct
(union_specifier name: (_) body: (_)) @union
(enum_specifier name: (_) body: (_)) @enum
(declaration declarator: (function_declarator) @prototype)
(declaration declarator: (pointer_declarator declarator: (function_declarator)) @prototype)
(translation_unit (declaration declarator: [(init_declarator) (identifier)] @variable))
(preproc_ifdef (declaration declarator: [(init_declarator) (identifier)] @variable))
"""

C = (
    """
language: c
grammar: tree_sitter_c
suffixes: c h
identifiers: identifier type_identifier field_identifier
(field_declaration declarator: (_) @field)
"""
    + _C
)

CPP = (
    """
language: cpp
grammar: tree_sitter_cpp
suffixes: cc cpp cxx c++ C hh hpp hxx h++ H ipp inl tpp cu cuh
identifiers: identifier type_identifier field_identifier namespace_identifier
namespace_definition module
alias_declaration type
concept_definition type
(class_specifier body: (_)) @class
(field_declaration declarator: (_) @field)
(field_declaration declarator: (function_declarator) @prototype)
(field_declaration declarator: (pointer_declarator declarator: (function_declarator)) @prototype)
(field_declaration declarator: (reference_declarator (function_declarator)) @prototype)
"""
    + _C
)

RUBY = """
language: ruby
grammar: tree_sitter_ruby
suffixes: rb rake gemspec ru
files: Rakefile Gemfile Guardfile Vagrantfile Podfile Fastfile
runs: ruby jruby
identifiers: identifier constant simple_symbol instance_variable
class class
module module
method method
singleton_method method
(program (assignment left: (constant)) @constant)
(body_statement (assignment left: (constant)) @constant)
"""

PHP = """
language: php
grammar: tree_sitter_php language_php
suffixes: php phtml php5 inc
runs: php
identifiers: name
class_declaration class
interface_declaration interface
trait_declaration trait
enum_declaration enum
function_definition function
method_declaration method
namespace_definition module
property_element field
const_element constant
enum_case field
"""

C_SHARP = """
language: c-sharp
grammar: tree_sitter_c_sharp
suffixes: cs csx
identifiers: identifier
class_declaration class
struct_declaration struct
interface_declaration interface
enum_declaration enum
record_declaration class
delegate_declaration type
method_declaration method
constructor_declaration method
local_function_statement function
property_declaration field
enum_member_declaration field
namespace_declaration module
(field_declaration (variable_declaration (variable_declarator) @field))
(event_field_declaration (variable_declaration (variable_declarator) @field))
"""

BASH = """
language: bash
grammar: tree_sitter_bash
suffixes: sh bash bats ebuild
files: .bashrc .bash_profile .bash_aliases .profile PKGBUILD
runs: sh bash dash ash ksh
identifiers: variable_name word
function_definition function
(program (variable_assignment) @variable)
(program (declaration_command (variable_assignment) @variable))
"""

KOTLIN = """
language: kotlin
grammar: tree_sitter_kotlin
suffixes: kt kts
runs: kotlin
identifiers: identifier
class_declaration class
object_declaration class
function_declaration function
enum_entry field
(class_body (property_declaration (variable_declaration) @field))
(source_file (property_declaration (variable_declaration) @constant))
type_alias type type
"""

# What has no code in it: headings of a kind, for an outline and for the scope of a hit.
HTML = """
language: html
grammar: tree_sitter_html
suffixes: html htm xhtml
element element
"""

CSS = """
language: css
grammar: tree_sitter_css
suffixes: css
rule_set rule
media_statement rule
keyframes_statement rule
"""

JSON = """
language: json
grammar: tree_sitter_json
suffixes: json jsonc webmanifest
files: .eslintrc .babelrc composer.lock Pipfile.lock
(document (object (pair) @key))
(document (object (pair value: (object (pair) @key))))
"""

TOML = """
language: toml
grammar: tree_sitter_toml
suffixes: toml
files: Cargo.lock poetry.lock uv.lock Pipfile
table table
table_array_element table
(document (pair) @key)
(table (pair) @key)
"""

YAML = """
language: yaml
grammar: tree_sitter_yaml
suffixes: yaml yml
files: .clang-format .clang-tidy
(document (block_node (block_mapping (block_mapping_pair) @key)))
(document (block_node (block_mapping (block_mapping_pair \
value: (block_node (block_mapping (block_mapping_pair) @key))))))
"""

TABLES = (
    PYTHON, JAVASCRIPT, TYPESCRIPT, TSX, GO, RUST, JAVA, C, CPP, RUBY, PHP, C_SHARP, BASH,
    KOTLIN, HTML, CSS, JSON, TOML, YAML,
)  # fmt: skip
