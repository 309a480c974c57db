package storage

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// operational is the closed list of what may change without an event.
var operational = []string{
	"DELETE certificate_attempt",
	"DELETE certificate_lock",
	"DELETE correspondent",
	"DELETE feedback",
	"DELETE feedback_row",
	"DELETE baseline",
	"DELETE hourly",
	"DELETE journey",
	"DELETE usage",
	"DELETE vanished",
	"DELETE webhook_delivery",
	"INSERT baseline",
	"INSERT certificate_attempt",
	"INSERT certificate_lock",
	"INSERT checkpoint",
	"INSERT cursor",
	"INSERT event_block",
	"INSERT event_column",
	"INSERT feedback",
	"INSERT feedback_row",
	"INSERT health",
	"INSERT hourly",
	"INSERT journey",
	"INSERT webhook_delivery",
	"UPDATE alert.count",
	"UPDATE alert.last",
	"UPDATE credential.last_used",
	"UPDATE dkim_key.due",
	"UPDATE domain_check.checked",
	"UPDATE domain_check.due",
	"UPDATE feedback.more",
	"UPDATE feedback.rows",
	"UPDATE feedback_row.count",
	"UPDATE journey.agent",
	"UPDATE journey.mailbox",
	"UPDATE journey.uid",
	"UPDATE journey.answer",
	"UPDATE journey.path",
	"UPDATE outgoing.attempts",
	"UPDATE outgoing.due",
	"UPDATE outgoing.lease_owner",
	"UPDATE person_session.last_used",
	"UPDATE sts_policy.due",
	"UPDATE sts_policy.used",
	"UPDATE webhook.failing",
	"UPDATE webhook_delivery.attempts",
	"UPDATE webhook_delivery.due",
}

var (
	updateSQL = regexp.MustCompile(`(?s)^\s*UPDATE (\w+) SET (.*?)(?: WHERE|$)`)
	deleteSQL = regexp.MustCompile(`^\s*DELETE FROM (\w+)`)
	insertSQL = regexp.MustCompile(`^\s*INSERT INTO (\w+)`)
	columnSQL = regexp.MustCompile(`(?:^|, )(\w+) = `)
)

// touches says what a statement changes, in the words of the list.
func touches(sql string) (all []string) {
	if m := updateSQL.FindStringSubmatch(sql); m != nil {
		for _, c := range columnSQL.FindAllStringSubmatch(m[2], -1) {
			all = append(all, "UPDATE "+m[1]+"."+c[1])
		}
	}
	if m := deleteSQL.FindStringSubmatch(sql); m != nil {
		all = append(all, "DELETE "+m[1])
	}
	if m := insertSQL.FindStringSubmatch(sql); m != nil {
		all = append(all, "INSERT "+m[1])
	}
	return all
}

// TestInvariant2_UpkeepIsAClosedList reads the methods of Upkeep: what they
// change stands in the list, and nothing stands there without need.
func TestInvariant2_UpkeepIsAClosedList(t *testing.T) {
	files, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	changed := map[string]bool{}
	for _, f := range files {
		if !strings.HasSuffix(f.Name(), ".go") || strings.HasSuffix(f.Name(), "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), f.Name(), nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, decl := range file.Decls {
			fn, ok := decl.(*ast.FuncDecl)
			if !ok || fn.Recv == nil {
				continue
			}
			star, ok := fn.Recv.List[0].Type.(*ast.StarExpr)
			if !ok {
				continue
			}
			if of, ok := star.X.(*ast.Ident); !ok || of.Name != "Upkeep" {
				continue
			}
			ast.Inspect(fn, func(n ast.Node) bool {
				if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING {
					text, _ := strconv.Unquote(lit.Value)
					for _, c := range touches(text) {
						changed[c] = true
						if !slices.Contains(operational, c) {
							t.Errorf("%s: (*Upkeep).%s does %s, which needs an event", f.Name(), fn.Name.Name, c)
						}
					}
				}
				return true
			})
		}
	}
	for _, c := range operational {
		if !changed[c] {
			t.Errorf("the list allows %s, and nothing does it", c)
		}
	}
}
