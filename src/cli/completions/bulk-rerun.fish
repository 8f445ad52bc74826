# Completes bulk-rerun in fish (3.4 or later): ~/.config/fish/completions/bulk-rerun.fish
function __bulk_rerun
    set -l current (commandline --current-token)
    set -l found (bulk-rerun __complete -- (commandline --tokenize --cut-at-cursor --current-process) "$current" 2>/dev/null)
    # Where nothing is known a file's name is meant.
    if set -q found[1]
        printf '%s\n' $found
    else
        __fish_complete_path $current
    end
end
complete --command bulk-rerun --no-files --arguments '(__bulk_rerun)'
