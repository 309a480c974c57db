package main

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/smtp"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"
	"github.com/rogpeppe/go-internal/testscript"

	"postern/server"
	"postern/server/injection"
)

// TestMain lets scripts run this test binary as the command.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"postern": main})
}

// TestScripts plays the terminal sessions of testdata/script.
func TestScripts(t *testing.T) {
	bundles, err := filepath.Abs("../../storage/audit/testdata/bundle")
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(env *testscript.Env) error {
			env.Setenv("BUNDLES", bundles)
			env.Setenv("NO_COLOR", "1")
			env.Setenv("XDG_STATE_HOME", filepath.Join(env.WorkDir, "state"))
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits": exits, "take": take, "ports": ports, "ready": ready, "send": send, "fetch": fetch, "edit": edit,
			"certificate": certificate, "totp": totpCode, "model": anotherModel, "waits": waits, "eventually": eventually,
		},
	})
}

// exits N COMMAND... runs a command and wants this exit status.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits STATUS COMMAND...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	var exit *exec.ExitError
	switch err := ts.Exec(args[1], args[2:]...); {
	case errors.As(err, &exit):
		got = exit.ExitCode()
	case err != nil:
		ts.Fatalf("%v", err)
	}
	if got != want {
		ts.Fatalf("%s ended with status %d, want %d\n%s%s", strings.Join(args[1:], " "), got, want, ts.ReadFile("stdout"), ts.ReadFile("stderr"))
	}
}

// take VARIABLE PATTERN sets a variable to the pattern's group in the last
// standard output.
func take(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: take VARIABLE PATTERN")
	}
	found := regexp.MustCompile(args[1]).FindStringSubmatch(ts.ReadFile("stdout"))
	if len(found) != 2 {
		ts.Fatalf("no match for %s in %q", args[1], ts.ReadFile("stdout"))
	}
	ts.Setenv(args[0], found[1])
}

// edit OLD NEW IN OUT copies a file with the first OLD exchanged.
func edit(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 4 {
		ts.Fatalf("usage: edit OLD NEW IN OUT")
	}
	text := ts.ReadFile(args[2])
	if !strings.Contains(text, args[0]) {
		ts.Fatalf("%s does not hold %q", args[2], args[0])
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[3]), []byte(strings.Replace(text, args[0], args[1], 1)), 0o600))
}

// totp VARIABLE SECRET STEPS sets a variable to the code of an authenticator, so
// many steps of 30 seconds from now.
func totpCode(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: totp VARIABLE SECRET STEPS")
	}
	steps, err := strconv.Atoi(args[2])
	ts.Check(err)
	code, err := totp.GenerateCode(args[1], time.Now().Add(time.Duration(steps)*30*time.Second))
	ts.Check(err)
	ts.Setenv(args[0], code)
}

// certificate HOST CA CERT KEY makes the files of a certificate.
func certificate(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 4 {
		ts.Fatalf("usage: certificate HOST CA CERT KEY")
	}
	a, err := server.NewAuthority(time.Now(), args[0], "localhost")
	ts.Check(err)
	for i, pem := range [][]byte{a.CA, a.Cert, a.Key} {
		ts.Check(os.WriteFile(ts.MkAbs(args[i+1]), pem, 0o600))
	}
}

// model FILE VERSION SUSPICIOUS writes the model that ships under another name and with
// another threshold.
func anotherModel(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: model FILE VERSION SUSPICIOUS")
	}
	m := *injection.Shipped()
	m.Version = args[1]
	var err error
	m.Suspicious, err = strconv.ParseFloat(args[2], 64)
	ts.Check(err)
	b, err := m.AppendBinary(nil)
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), b, 0o600))
}

// ports VARIABLE sets a variable to a base from which all ports of a laboratory
// are free.
func ports(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: ports VARIABLE")
	}
	for range 18 {
		// Below the range from which the kernel gives ports to clients. Scripts run
		// beside one another, and so do test binaries: each begins elsewhere.
		base := 11000 + os.Getpid()%50*20 + int(nextBase.Add(1))%18*1000
		if free(base) {
			ts.Setenv(args[0], strconv.Itoa(base))
			return
		}
	}
	ts.Fatalf("no free ports")
}

var nextBase atomic.Int64

func free(base int) bool {
	for _, port := range []int{25, 53, 465, 587, 993} {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", base+port))
		if err != nil {
			return false
		}
		l.Close()
	}
	return true
}

// ready FILE waits for a laboratory and sets CONTROL, DATA, CA, SMTP,
// SUBMISSIONS, IMAPS, for each agent TOKEN_name, and POSTERN_SESSION, so that
// commands come from the laboratory's admin; "env POSTERN_SESSION=none" makes them
// come from the Unix user.
func ready(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: ready FILE")
	}
	var b []byte
	for patience := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		var err error
		if b, err = os.ReadFile(ts.MkAbs(args[0])); err == nil {
			break
		}
		if time.Now().After(patience) {
			ts.Fatalf("the laboratory is not ready: %v", err)
		}
	}
	var r server.Ready
	ts.Check(json.Unmarshal(b, &r))
	for name, value := range map[string]string{"POSTERN_CONTROL": r.Control, "DATA": r.Data, "CA": r.CAFile, "SMTP": r.SMTP,
		"SUBMISSIONS": r.Submissions, "IMAPS": r.IMAPS, "PID": strconv.Itoa(r.PID),
		"POSTERN_SESSION": r.Admin.Session} {
		if value == "" {
			ts.Fatalf("the ready file does not say %s", name)
		}
		ts.Setenv(name, value)
	}
	for _, a := range r.Agents {
		ts.Setenv("TOKEN_"+a.Name, a.Token)
	}
}

// waits FILE returns when the file exists.
func waits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: waits FILE")
	}
	for patience := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		if _, err := os.Stat(ts.MkAbs(args[0])); err == nil {
			return
		} else if time.Now().After(patience) {
			ts.Fatalf("%v", err)
		}
	}
}

// eventually PATTERN COMMAND... runs a command until its output matches.
func eventually(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: eventually PATTERN COMMAND...")
	}
	want := regexp.MustCompile(args[0])
	for patience := time.Now().Add(time.Minute); ; time.Sleep(100 * time.Millisecond) {
		err := ts.Exec(args[1], args[2:]...)
		if err == nil && want.MatchString(ts.ReadFile("stdout")) {
			return
		}
		if time.Now().After(patience) {
			ts.Fatalf("%s: %v, nothing matches", strings.Join(args[1:], " "), err)
		}
	}
}

// dial opens a connection with TLS to a door of the laboratory.
func dial(ts *testscript.TestScript, door string) *tls.Conn {
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM([]byte(ts.ReadFile(ts.Getenv("CA"))))
	d := &net.Dialer{Timeout: 10 * time.Second}
	c, err := tls.DialWithDialer(d, "tcp", ts.Getenv(door), &tls.Config{RootCAs: pool, ServerName: "localhost"})
	ts.Check(err)
	ts.Check(c.SetDeadline(time.Now().Add(time.Minute)))
	return c
}

// send LOGIN TOKEN FILE RECIPIENT... submits a message. With "!" it must fail.
func send(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) < 4 {
		ts.Fatalf("usage: send LOGIN TOKEN FILE RECIPIENT...")
	}
	err := submit(ts, args[0], args[1], strings.ReplaceAll(ts.ReadFile(args[2]), "\n", "\r\n"), args[3:])
	if neg != (err != nil) {
		ts.Fatalf("send: %v", err)
	}
}

func submit(ts *testscript.TestScript, login, token, text string, to []string) error {
	c, err := smtp.NewClient(dial(ts, "SUBMISSIONS"), "localhost")
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.Auth(smtp.PlainAuth("", login, token, "localhost")); err != nil {
		return err
	}
	if err := c.Mail(login); err != nil {
		return err
	}
	for _, rcpt := range to {
		if err := c.Rcpt(rcpt); err != nil {
			return err
		}
	}
	w, err := c.Data()
	if err != nil {
		return err
	}
	if _, err := io.WriteString(w, text); err != nil {
		return err
	}
	return errors.Join(w.Close(), c.Quit())
}

// fetch LOGIN TOKEN PATTERN reads the INBOX until a message in it matches, with
// "!" checks that the login is refused.
func fetch(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 3 {
		ts.Fatalf("usage: fetch LOGIN TOKEN PATTERN")
	}
	want := regexp.MustCompile(args[2])
	for patience := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		c := dial(ts, "IMAPS")
		fmt.Fprintf(c, "a LOGIN %q %q\r\nb SELECT INBOX\r\nc FETCH 1:* BODY[]\r\nd LOGOUT\r\n", args[0], args[1])
		got, err := io.ReadAll(c)
		c.Close()
		if bytes.Contains(got, []byte("a NO")) != neg {
			ts.Fatalf("login: %v\n%s", err, got)
		}
		if neg || want.Match(got) {
			return
		}
		if time.Now().After(patience) {
			ts.Fatalf("nothing matches:\n%s", got)
		}
	}
}
