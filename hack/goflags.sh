# Sourced by the scripts: one way to compile, so that Go's cache has each package once for all of them. Only the
# race detector (hack/test.sh) compiles differently. Debug information costs a tenth of a first build, and nothing
# here reads it: stack traces and profiles do not need it. To debug, build with plain "go build".
if ! command -v go >/dev/null; then
	echo "no go command on PATH: install Go (https://go.dev/dl) in the version that go.mod requires" >&2
	return 1
fi
export CGO_ENABLED=0
for flag in -trimpath -gcflags=all=-dwarf=false; do
	case " ${GOFLAGS:-} " in
	*" $flag "*) ;;
	*) export GOFLAGS="${GOFLAGS:+$GOFLAGS }$flag" ;;
	esac
done

# compile_first WHAT ARGUMENT... compiles packages and shows how far it is; the go command itself is silent for minutes.
compile_first() {
	go run ./test/framework/gobuild/compile --what "$1" -- "${@:2}"
}
