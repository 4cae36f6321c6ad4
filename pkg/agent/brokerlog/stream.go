package brokerlog

import (
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"os"

	"golang.org/x/sys/unix"
)

// Stream passes a file to processes of the same pod: the standard error of the container to the initial program,
// which inherits that of its broker otherwise. The output of the program then stays unchanged and does not mix with
// lines of Flux.
type Stream struct {
	listener *net.UnixListener
	file     *os.File
	user     uint32
}

// OpenStream offers a file to the processes of a user, and of root.
func OpenStream(file *os.File, user uint32) (*Stream, error) {
	// In the abstract namespace, see unix(7): it needs no file, and ends with this process.
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: "@minicluster-" + rand.Text(), Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("opening a socket for the standard error of the program: %w", err)
	}
	s := &Stream{listener: listener, file: file, user: user}
	go s.serve()
	return s, nil
}

// Name is the name to pass to Receive.
func (s *Stream) Name() string { return s.listener.Addr().String() }

// Close withdraws the offer.
func (s *Stream) Close() { _ = s.listener.Close() }

func (s *Stream) serve() {
	for {
		conn, err := s.listener.AcceptUnix()
		if err != nil {
			return
		}
		if s.allows(conn) {
			_, _, _ = conn.WriteMsgUnix([]byte{0}, unix.UnixRights(int(s.file.Fd())), nil)
		}
		_ = conn.Close()
	}
}

// allows reports whether the peer is a process of the user, or of root.
func (s *Stream) allows(conn *net.UnixConn) bool {
	raw, err := conn.SyscallConn()
	if err != nil {
		return false
	}
	var cred *unix.Ucred
	if controlErr := raw.Control(func(fd uintptr) { cred, err = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) }); controlErr != nil || err != nil {
		return false
	}
	return cred.Uid == 0 || cred.Uid == s.user
}

// Receive replaces the standard error of this process by the file that a Stream offers.
func Receive(name string) error {
	conn, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: name, Net: "unix"})
	if err != nil {
		return fmt.Errorf("asking the agent for the standard error of the container: %w", err)
	}
	defer func() { _ = conn.Close() }()
	rights := make([]byte, unix.CmsgSpace(4))
	_, n, _, _, err := conn.ReadMsgUnix(make([]byte, 1), rights)
	if err != nil {
		return fmt.Errorf("receiving the standard error of the container: %w", err)
	}
	messages, err := unix.ParseSocketControlMessage(rights[:n])
	if err != nil || len(messages) == 0 {
		return errors.New("receiving the standard error of the container: the agent did not send it")
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil || len(fds) != 1 {
		return errors.New("receiving the standard error of the container: the agent sent an unexpected message")
	}
	defer func() { _ = unix.Close(fds[0]) }()
	if err := unix.Dup3(fds[0], int(os.Stderr.Fd()), 0); err != nil {
		return fmt.Errorf("taking over the standard error of the container: %w", err)
	}
	return nil
}
