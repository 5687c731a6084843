package link

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// handOverWithin bounds the passing of a descriptor, which is one message.
const handOverWithin = 2 * time.Second

// ErrNoSocket is the answer of a service that listens on no relay port.
var ErrNoSocket = errors.New("the service holds no relay socket")

func fileSocket(dir string) string { return filepath.Join(dir, "files.sock") }

// OfferFile gives a copy of file's descriptor to each of our own user who asks, until the listener that it gives
// back is closed. A nil from file is ErrNoSocket for whoever asks.
func OfferFile(dir string, file func() *os.File) (*Listener, error) {
	listener, err := listenAt(fileSocket(dir))
	if err != nil {
		return nil, err
	}
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			_ = conn.SetDeadline(time.Now().Add(handOverWithin))
			give(conn.(*net.UnixConn), file())
			_ = conn.Close()
		}
	}()
	return listener, nil
}

// give sends one octet, and with it the descriptor where there is one (unix(7), SCM_RIGHTS).
func give(conn *net.UnixConn, file *os.File) {
	if file == nil {
		_, _ = conn.Write([]byte{0})
		return
	}
	raw, err := file.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Control(func(fd uintptr) {
		_, _, _ = conn.WriteMsgUnix([]byte{1}, syscall.UnixRights(int(fd)), nil)
	})
}

// FetchFile asks for the descriptor that OfferFile offers.
func FetchFile(dir string) (*os.File, error) {
	dialed, err := net.DialTimeout("unix", fileSocket(dir), handOverWithin)
	if err != nil {
		return nil, err
	}
	conn := dialed.(*net.UnixConn)
	defer func() { _ = conn.Close() }()
	if err := checkPeer(conn); err != nil {
		return nil, err
	}
	_ = conn.SetDeadline(time.Now().Add(handOverWithin))
	octet, rights := make([]byte, 1), make([]byte, syscall.CmsgSpace(4))
	n, m, _, _, err := conn.ReadMsgUnix(octet, rights)
	switch {
	case err != nil:
		return nil, err
	case n == 0 || octet[0] == 0:
		return nil, ErrNoSocket
	}
	messages, err := syscall.ParseSocketControlMessage(rights[:m])
	if err != nil || len(messages) != 1 {
		return nil, fmt.Errorf("the descriptor did not come with its message: %v", err)
	}
	descriptors, err := syscall.ParseUnixRights(&messages[0])
	if err != nil || len(descriptors) != 1 {
		return nil, fmt.Errorf("the descriptor did not come with its message: %v", err)
	}
	syscall.CloseOnExec(descriptors[0])
	return os.NewFile(uintptr(descriptors[0]), "relay"), nil
}
