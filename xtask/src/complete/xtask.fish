# Completions of `cargo xtask` (and of a function `xtask`) for fish. Made by `cargo xtask completions fish`.

function __codex_sandbox_complete
    set -l lines (@BINARY@ complete (commandline -cp | string collect) 2>/dev/null)
    set -l typed (commandline -ct)
    set -l before (string match -r '^[^=]*=' -- $typed)
    set -l path (string replace -r '^[^=]*=' '' -- $typed)
    switch "$lines[1]"
        case directories
            for dir in (__fish_complete_directories $path)
                printf '%s%s\n' "$before" $dir
            end
        case files
            for file in (__fish_complete_path $path)
                printf '%s%s\n' "$before" $file
            end
        case words
            printf '%s\n' $lines[2..-1]
    end
end

complete -c cargo -n '__fish_seen_subcommand_from xtask' -f -a '(__codex_sandbox_complete)'
complete -c xtask -f -a '(__codex_sandbox_complete)'
