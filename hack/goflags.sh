# Sourced by the scripts: one way to compile, so that Go's cache has each package once for all of them. Only the
# race detector (hack/test.sh) compiles differently.
export CGO_ENABLED=0
case " ${GOFLAGS:-} " in
*' -trimpath '*) ;;
*) export GOFLAGS="${GOFLAGS:+$GOFLAGS }-trimpath" ;;
esac

# compile_first WHAT ARGUMENT... compiles packages and shows how far it is; the go command itself is silent for minutes.
compile_first() {
	go run ./test/framework/gobuild/compile --what "$1" -- "${@:2}"
}
