#compdef bulk-rerun
# Completes bulk-rerun in zsh, from a file `_bulk-rerun` in a folder of $fpath, or: source <(bulk-rerun completions zsh)
_bulk_rerun() {
    local line tab=$'\t'
    local -a found
    for line in "${(@f)$(bulk-rerun __complete -- "${(@)words[1,CURRENT]}" 2>/dev/null)}"; do
        [[ -z $line ]] || found+=("${${line%%$tab*}//:/\\:}:${line#*$tab}")
    done
    # Where nothing is known a file's name is meant.
    if (( $#found )); then
        _describe bulk-rerun found
    else
        _files
    fi
}
if [[ $funcstack[1] == _bulk-rerun ]]; then
    _bulk_rerun "$@"
else
    compdef _bulk_rerun bulk-rerun
fi
