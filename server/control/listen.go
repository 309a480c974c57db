package control

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/user"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"

	"postern/storage/audit"
)

// socketMode lets the owner and the group connect.
const socketMode = 0o660

// maxPath is the longest path that a socket address holds (unix(7): 108 bytes
// with the final zero).
const maxPath = 107

// ErrServing: another process answers at the socket.
var ErrServing = errors.New("control: another server answers at this socket")

// Listen makes the control socket. One that a killed server left behind is
// removed; one that somebody answers at is ErrServing, and a file that is no
// socket is left alone.
func Listen(path string) (net.Listener, error) {
	if len(path) > maxPath {
		return nil, fmt.Errorf("control: the path of the socket has %d bytes, and %d is the limit: %s", len(path), maxPath, path)
	}
	if err := removeStale(path); err != nil {
		return nil, err
	}
	// The mode is set before the name exists: there is no moment in which the
	// socket is open to others. The process's umask may still narrow it.
	lc := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		var err error
		if e := c.Control(func(fd uintptr) { err = unix.Fchmod(int(fd), socketMode) }); e != nil {
			return e
		}
		return err
	}}
	l, err := lc.Listen(context.Background(), "unix", path)
	if err != nil {
		return nil, fmt.Errorf("control: %w", err)
	}
	if err := os.Chmod(path, socketMode); err != nil {
		l.Close()
		return nil, fmt.Errorf("control: %w", err)
	}
	return l, nil
}

// removeStale removes a socket that nobody answers at.
func removeStale(path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("control: %w", err)
	}
	if info.Mode().Type() != fs.ModeSocket {
		return fmt.Errorf("control: %s exists and is no socket", path)
	}
	c, err := net.Dial("unix", path)
	if err == nil {
		c.Close()
		return fmt.Errorf("%w: %s", ErrServing, path)
	}
	if !errors.Is(err, unix.ECONNREFUSED) {
		return fmt.Errorf("control: %w", err)
	}
	if err := os.Remove(path); err != nil {
		return fmt.Errorf("control: %w", err)
	}
	return nil
}

// peer is who sits at the other end, as the kernel knows it.
func peer(c net.Conn) (audit.Actor, error) {
	uc, ok := c.(*net.UnixConn)
	if !ok {
		return audit.Actor{}, fmt.Errorf("control: a connection of %s has no peer credentials", c.LocalAddr().Network())
	}
	raw, err := uc.SyscallConn()
	if err != nil {
		return audit.Actor{}, err
	}
	var cred *unix.Ucred
	if e := raw.Control(func(fd uintptr) { cred, err = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) }); e != nil {
		return audit.Actor{}, e
	}
	if err != nil {
		return audit.Actor{}, fmt.Errorf("control: peer credentials: %w", err)
	}
	return audit.Actor{Kind: audit.Unix, Name: userName(cred.Uid)}, nil
}

// userName is the name of a user, or the number when it has none here.
func userName(uid uint32) string {
	id := strconv.FormatUint(uint64(uid), 10)
	u, err := user.LookupId(id)
	if err != nil || u.Username == "" {
		return "uid " + id
	}
	return u.Username
}
