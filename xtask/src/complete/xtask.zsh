# Completions of `cargo xtask` (and of a function `xtask`) for zsh. Made by `cargo xtask completions zsh`; load it after
# `compinit`.

_codex_sandbox_complete() {
    local one value
    local -a lines plain open
    lines=("${(@f)$(@BINARY@ complete "${(j: :)${(@q)words[1,CURRENT]}}" 2>/dev/null)}")
    case ${lines[1]-} in
        directories)
            compset -P '*='
            _files -/
            ;;
        files)
            compset -P '*='
            _files
            ;;
        words)
            for one in "${(@)lines[2,-1]}"; do
                value=${one%%$'\t'*}
                one=${one#*$'\t'}
                # A colon ends the value in what `_describe` is given.
                if [[ $value == *= ]]; then open+=("${value//:/\\:}:$one"); else plain+=("${value//:/\\:}:$one"); fi
            done
            (( $#plain )) && _describe 'cargo xtask' plain
            (( $#open )) && _describe 'cargo xtask' open -S ''
            ;;
    esac
}

# What completes `cargo` itself stays: it is asked for everything but `xtask`.
_codex_sandbox_cargo() {
    local word
    for word in "${(@)words[2,CURRENT-1]}"; do
        case $word in
            xtask)
                _codex_sandbox_complete
                return
                ;;
            -*|+*) ;;
            *) break ;;
        esac
    done
    if [[ -n ${_codex_sandbox_cargos_own-} ]]; then $_codex_sandbox_cargos_own "$@"; else _default; fi
}

if [[ ${_comps[cargo]-} != _codex_sandbox_cargo ]]; then _codex_sandbox_cargos_own=${_comps[cargo]-}; fi
compdef _codex_sandbox_cargo cargo
compdef _codex_sandbox_complete xtask
