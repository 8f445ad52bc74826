# Completes bulk-rerun in bash (4.4 or later): source <(bulk-rerun completions bash)
_bulk_rerun() {
    local rest=$COMP_LINE line word words=() index found candidate
    # Bash takes words apart at = and :, which are whole here.
    for ((index = 0; index <= COMP_CWORD; index++)); do
        word=${COMP_WORDS[index]} line=${rest#"${rest%%[![:space:]]*}"}
        if ((index > 0)) && [[ $rest && $line == "$rest" ]]; then
            words[${#words[@]} - 1]+=$word
        else
            words+=("$word")
        fi
        rest=${line#"$word"}
    done
    # Only what is behind the last of these signs is put in.
    local current=${words[${#words[@]} - 1]} typed=${COMP_WORDS[COMP_CWORD]}
    [[ $typed != [=:]* ]] || typed=
    local before=${current%"$typed"}
    mapfile -t found < <(bulk-rerun __complete -- "${words[@]}" 2>/dev/null)
    COMPREPLY=()
    for candidate in "${found[@]%%$'\t'*}"; do
        candidate=${candidate#"$before"}
        [[ $typed == [\'\"]* ]] || printf -v candidate %q "$candidate"
        COMPREPLY+=("$candidate")
    done
}
# Where nothing is known a file's name is meant.
complete -o bashdefault -o default -o nosort -F _bulk_rerun bulk-rerun
