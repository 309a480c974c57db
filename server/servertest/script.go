package servertest

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"
	"github.com/rogpeppe/go-internal/testscript"

	"postern/storage"
	"postern/storage/audit"
)

// Run plays every script of a folder, each in a world of its own and all beside
// one another, and returns the verbs of the events that they left.
func Run(t *testing.T, dir string) map[audit.Verb]bool {
	t.Helper()
	var mu sync.Mutex
	seen := map[audit.Verb]bool{}
	// The scripts are parallel tests: they end with the test that holds them.
	t.Run("scripts", func(t *testing.T) {
		testscript.Run(t, testscript.Params{
			Dir: dir,
			Setup: func(env *testscript.Env) error {
				s, err := newScript(env.WorkDir)
				if err != nil {
					return err
				}
				env.Values[scriptKey{}] = s
				env.Defer(func() {
					mu.Lock()
					defer mu.Unlock()
					if err := s.close(seen); err != nil {
						t.Error(err)
					}
				})
				return nil
			},
			Cmds: commands,
		})
	})
	return seen
}

// script is the state of one running script.
type script struct {
	world *World
	dir   string
	hosts map[string]*host
	talks map[string]talk
	webs  map[string]*web
	// authenticators hold people's passkeys.
	authenticators map[string]*Authenticator

	pebble   *Pebble // nil: there is no authority
	current  talk
	unnamed  int
	ctx      context.Context
	stopping context.CancelFunc
}

// host is a server of a script, by the first label of its domain.
type host struct {
	*Postern
	seen uint64 // events up to here have been looked at
}

type scriptKey struct{}

func newScript(dir string) (*script, error) {
	w, err := NewWorld()
	if err != nil {
		return nil, err
	}
	s := &script{world: w, dir: dir, hosts: map[string]*host{}, talks: map[string]talk{}, webs: map[string]*web{}, authenticators: map[string]*Authenticator{}}
	s.ctx, s.stopping = context.WithCancel(context.Background())
	return s, nil
}

// close stops the servers and notes which verbs they wrote.
func (s *script) close(seen map[audit.Verb]bool) error {
	var errs []error
	for _, t := range s.talks {
		t.Close()
	}
	for _, h := range s.hosts {
		if h.Server() != nil {
			errs = append(errs, h.verbs(seen))
		}
		errs = append(errs, h.Down())
	}
	for _, w := range s.webs {
		w.server.Close()
	}
	if s.pebble != nil {
		errs = append(errs, s.pebble.Close())
	}
	s.stopping()
	return errors.Join(append(errs, s.world.Close())...)
}

func (h *host) verbs(seen map[audit.Verb]bool) error {
	for next := uint64(0); ; {
		events, err := h.Server().Store().Events(context.Background(), storage.EventQuery{From: next})
		if err != nil || len(events) == 0 {
			return err
		}
		for _, e := range events {
			seen[e.Verb] = true
			next = e.Seq + 1
		}
	}
}

// commands are the words that scripts know beside those of testscript.
var commands = map[string]func(*testscript.TestScript, bool, []string){
	"host":     command(2, many, (*script).host),
	"down":     command(1, 1, (*script).down),
	"up":       command(1, 1, (*script).up),
	"smtp":     command(2, 3, (*script).smtp),
	"imap":     command(1, 2, (*script).imap),
	"use":      command(1, 1, (*script).use),
	">":        command(0, many, (*script).say),
	"<":        command(1, many, (*script).hear),
	"starttls": command(0, 0, (*script).startTLS),
	"login":    command(1, 2, (*script).login),
	"send":     command(1, 1, (*script).send),
	"append":   command(2, 2, (*script).append),
	"literal":  command(2, many, (*script).literal),
	"closed":   command(0, 0, (*script).closed),
	"zone":     command(1, 1, (*script).zone),
	"records":  command(2, 2, (*script).records),
	"dig":      command(2, 2, (*script).dig),
	"record":   command(2, many, (*script).record),
	"clock":    command(1, 1, (*script).clock),
	"survey":   command(1, 1, (*script).survey),
	"row":      command(2, 2, (*script).row),
	"events":   command(2, 2, (*script).events),
	"control":  controlCommand,
	"policy":   command(3, many, (*script).policy),
	"publish":  command(1, 1, (*script).publish),
	"web":      command(2, 2, (*script).web),
	"told":     command(2, 2, (*script).told),
	"totp":     command(2, 2, (*script).totp),
	"passkey":  command(3, 3, (*script).passkey),
	"rewind":   command(1, 1, (*script).rewind),
	"sts":      command(2, many, (*script).sts),
	"certify":  command(1, many, (*script).certify),

	"until":       command(2, 3, (*script).until),
	"authority":   command(0, 1, (*script).authority),
	"certificate": command(3, 3, (*script).certificate),
}

// many is no limit of arguments.
const many = -1

// command checks the number of arguments and reports an error as the script's
// failure.
func command(least, most int, fn func(*script, *testscript.TestScript, []string) error) func(*testscript.TestScript, bool, []string) {
	return func(ts *testscript.TestScript, neg bool, args []string) {
		if neg {
			ts.Fatalf("this command cannot be negated")
		}
		if len(args) < least || most != many && len(args) > most {
			ts.Fatalf("wrong number of arguments")
		}
		ts.Check(fn(ts.Value(scriptKey{}).(*script), ts, args))
	}
}

// host DOMAIN AGENT…
func (s *script) host(ts *testscript.TestScript, args []string) error {
	name, _, _ := strings.Cut(args[0], ".")
	dir := filepath.Join(s.dir, ".host-"+name)
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	p, err := Start(Options{World: s.world, Domain: args[0], Agents: args[1:], Dir: dir, Judge: Marked, Pebble: s.pebble})
	if err != nil {
		return err
	}
	h := &host{Postern: p}
	s.hosts[name] = h
	ts.Setenv(name+"_session", p.Second.Session)
	for _, a := range p.Agents {
		ts.Setenv(a.Name+"_token", a.Token)
		ts.Setenv(a.Name+"_credential", a.Credential.ID.String())
		ts.Setenv(a.Name+"_agent", a.Agent.ID.String())
	}
	_, err = h.news(s.ctx) // what it took to make the host is not the script's
	return err
}

// totp VARIABLE SECRET
func (s *script) totp(ts *testscript.TestScript, args []string) error {
	code, err := totp.GenerateCode(args[1], s.world.Clock.Now())
	ts.Setenv(args[0], code)
	return err
}

func (s *script) find(ts *testscript.TestScript, name string) *host {
	h := s.hosts[name]
	if h == nil {
		ts.Fatalf("there is no host %q", name)
	}
	return h
}

// down HOST
func (s *script) down(ts *testscript.TestScript, args []string) error {
	return s.find(ts, args[0]).Down()
}

// up HOST
func (s *script) up(ts *testscript.TestScript, args []string) error {
	return s.find(ts, args[0]).Up()
}

// clock DURATION
func (s *script) clock(_ *testscript.TestScript, args []string) error {
	d, err := time.ParseDuration(args[0])
	if err != nil {
		return err
	}
	return s.world.Advance(d)
}

// survey HOST has a server look at its own health, as it does by itself elsewhere.
func (s *script) survey(ts *testscript.TestScript, args []string) error {
	return s.find(ts, args[0]).Server().Survey(s.ctx)
}

// agent finds an agent of any host.
func (s *script) agent(ts *testscript.TestScript, name string) *Agent {
	for _, h := range s.hosts {
		if a := h.Agents[name]; a != nil {
			return a
		}
	}
	ts.Fatalf("there is no agent %q", name)
	return nil
}
