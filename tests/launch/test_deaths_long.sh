# Deaths of every process, at many moments.
exec bash "$(dirname "${BASH_SOURCE[0]}")/test_deaths.sh" "$1" "$2" long
