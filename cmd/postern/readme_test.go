package main_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// TestREADME_Go runs the README's agent in Go, which writes to itself and then reads that: what people paste first works.
// It is built here with the versions of its libraries that the tests have.
func TestREADME_Go(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(text), "```go\n")
	example, _, ended := strings.Cut(rest, "```")
	if !ok || !ended {
		t.Fatal("the README has no example in Go")
	}
	d := startDev(t, binary(t, ""), t.TempDir())
	me := d.Agents[0]
	for _, change := range [][2]string{
		{`"mail.example.com"`, `"127.0.0.1"`}, {"support@example.com", me.Login}, {"you@example.net", me.Inbox},
		{":993", ":" + port(t, d.IMAPS)}, {":587", ":" + port(t, d.Submission)},
	} {
		if !strings.Contains(example, change[0]) {
			t.Fatalf("the example has no %s", change[0])
		}
		example = strings.ReplaceAll(example, change[0], change[1])
	}
	source := file(t, "main.go", []byte(example))
	agent := strings.TrimSuffix(source, ".go")
	if out, err := exec.Command("go", "build", "-o", agent, source).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	until(t, "the agent reads what it wrote", func() bool {
		cmd := exec.Command(agent)
		cmd.Env = append(os.Environ(), "POSTERN_TOKEN="+me.Token, "SSL_CERT_FILE="+d.CAFile)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, ending(string(out)))
		}
		return strings.Contains(string(out), "Subject: Hello\r\n")
	})
}
