# Completions of `cargo xtask` (and of a function or alias `xtask`) for bash. Made by `cargo xtask completions bash`.

_codex_sandbox_complete() {
    local kind value typed=${COMP_WORDS[COMP_CWORD]}
    local -a lines
    COMPREPLY=()
    mapfile -t lines < <(@BINARY@ complete "${COMP_LINE:0:COMP_POINT}" 2>/dev/null)
    kind=${lines[0]-}
    # bash has split the word at `=`: what is to be completed is only what follows.
    case $typed in =) typed= ;; esac
    case $kind in
        directories)
            compopt -o filenames 2>/dev/null
            mapfile -t COMPREPLY < <(compgen -d -- "$typed")
            ;;
        files)
            compopt -o filenames 2>/dev/null
            mapfile -t COMPREPLY < <(compgen -f -- "$typed")
            ;;
        words)
            for value in "${lines[@]:1}"; do
                value=${value%%$'\t'*}
                case $value in --*=?*) value=${value#*=} ;; *=) compopt -o nospace 2>/dev/null ;; esac
                COMPREPLY+=("$value")
            done
            ;;
    esac
}

# What completes `cargo` itself stays: it is asked for everything but `xtask`.
_codex_sandbox_cargo() {
    local word
    for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
        case $word in
            xtask)
                _codex_sandbox_complete
                return
                ;;
            -* | +*) ;;
            *) break ;;
        esac
    done
    if [ -n "${_codex_sandbox_cargos_own-}" ]; then "$_codex_sandbox_cargos_own" "$@"; fi
}

if ! complete -p cargo >/dev/null 2>&1; then
    { _comp_load cargo || _completion_loader cargo; } >/dev/null 2>&1
fi
_codex_sandbox_before=$(complete -p cargo 2>/dev/null | sed -n 's/.* -F \([^ ]*\) .*/\1/p')
# Loaded a second time, this very function is what was before.
if [ "$_codex_sandbox_before" != _codex_sandbox_cargo ]; then _codex_sandbox_cargos_own=$_codex_sandbox_before; fi
unset -v _codex_sandbox_before
complete -o bashdefault -o default -F _codex_sandbox_cargo cargo
complete -F _codex_sandbox_complete xtask
