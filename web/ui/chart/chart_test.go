package chart_test

import (
	"bytes"
	"encoding/xml"
	"flag"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/a-h/templ"

	"postern/web/ui/chart"
)

var update = flag.Bool("update", false, "write the golden files anew")

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func hours(n int) []chart.Step { return chart.Steps(noon.Add(-24*time.Hour), time.Hour, n, time.UTC) }

func words(id string) chart.Words {
	return chart.Words{ID: id, Title: "Sends by the hour", Desc: "Most in one hour: 7 of 60."}
}

var day = []int64{0, 1, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 4, 5, 7, 6, 4, 3, 5, 2}

func sent(v []int64) chart.Series {
	return chart.Series{Name: "sent", Colour: chart.Subject, Values: v}
}

func refused(v []int64) chart.Series {
	return chart.Series{Name: "refused", Colour: chart.Bad, Values: v}
}

// pictures are all kinds of charts, each as it is on a good day, with one step, with
// zeros, and with nothing.
var pictures = map[string]templ.Component{
	"spark":       chart.Spark{Words: words("s"), Values: []int64{388, 402, 371, 366, 118, 96, 412}},
	"spark-one":   chart.Spark{Words: words("s"), Values: []int64{12}, Dot: chart.Bad},
	"spark-zero":  chart.Spark{Words: words("s"), Values: []int64{0, 0, 0}},
	"spark-empty": chart.Spark{Words: words("s")},

	"bars":       chart.Bars{Words: words("b"), Axis: "Hour", Steps: hours(24), Series: []chart.Series{sent(day)}, Limit: 60, Said: "Limit 60 an hour"},
	"bars-parts": chart.Bars{Words: words("b"), Axis: "Hour", Steps: hours(24), Series: []chart.Series{sent(day), refused([]int64{0, 0, 3})}, Last: "Now"},
	"bars-marks": chart.Bars{Words: words("b"), Axis: "Score", Steps: hours(20), Series: []chart.Series{sent(day)}, Log: true, Wide: 720,
		Marks: []chart.Mark{{Step: 11, Label: "Mark from .55"}, {Step: 16, Label: "Quarantine from .80"}}},
	"bars-one":     chart.Bars{Words: words("b"), Axis: "Hour", Steps: hours(1), Series: []chart.Series{sent([]int64{3})}},
	"bars-zero":    chart.Bars{Words: words("b"), Axis: "Hour", Steps: hours(24), Series: []chart.Series{sent(nil)}},
	"bars-empty":   chart.Bars{Words: words("b"), Axis: "Hour"},
	"bars-hostile": chart.Bars{Words: chart.Words{ID: `"><i>`, Title: "<script>alert(1)</script>", Desc: `"&<`}, Axis: "<b>", Steps: []chart.Step{{Name: "</title><script>", Tick: "</text><a>"}}, Series: []chart.Series{{Name: "<u>", Colour: chart.Subject, Values: []int64{-4, 1}}}},

	"band":       chart.Band{Words: words("d"), Axis: "Hour", Steps: hours(24), Series: []chart.Series{{Name: "waiting", Colour: chart.Faint, Values: day}, {Name: "try later", Colour: chart.Warn, Values: day[4:]}, refused(day[8:])}, Last: "Now", Wide: 1000},
	"band-one":   chart.Band{Words: words("d"), Axis: "Hour", Steps: hours(1), Series: []chart.Series{sent([]int64{3}), refused([]int64{1})}},
	"band-zero":  chart.Band{Words: words("d"), Axis: "Hour", Steps: hours(3), Series: []chart.Series{sent(nil)}},
	"band-empty": chart.Band{Words: words("d"), Axis: "Hour"},

	"heat": chart.Heat{Words: words("h"), Steps: hours(6), Noun: "sent", Cells: []chart.Cell{
		{Value: 1}, {Value: 6, Dot: "first mail to 2 domains"}, {Value: 13, Notch: "31 refused", Dot: "first mail to 11 domains"}, {Value: 7}, {Notch: "1 refused"}}},
	"heat-states": chart.Heat{Words: words("h"), Steps: hours(3), Noun: "wrong", Cells: []chart.Cell{{Colour: chart.OK}, {Colour: chart.Bad, Value: 2}, {Colour: chart.Wait}}},
	"heat-empty":  chart.Heat{Words: words("h"), Noun: "sent"},

	"lanes": chart.Lanes{Words: words("l"), Axis: "Hour", Steps: hours(24), Last: "Now", Marks: []chart.Mark{{Step: 6, Label: "Issued, 20 Nov"}}, Rows: []chart.Lane{
		{Series: chart.Series{Name: "billing-2", Noun: "use", Colour: chart.Usual, Values: []int64{6, 5, 7, 8, 6, 1}}, Note: "old"},
		{Series: chart.Series{Name: "billing-3", Noun: "use", Colour: chart.Subject, Values: day}, Note: "successor"}}},
	"lanes-one": chart.Lanes{Words: words("l"), Axis: "Hour", Steps: hours(1), Rows: []chart.Lane{
		{Series: chart.Series{Name: "billing-2", Noun: "use", Colour: chart.Subject, Values: []int64{1}}}}},
	"lanes-zero": chart.Lanes{Words: words("l"), Axis: "Hour", Steps: hours(24), Rows: []chart.Lane{
		{Series: chart.Series{Name: "billing-2", Noun: "use", Colour: chart.Subject}}}},
	"lanes-empty": chart.Lanes{Words: words("l"), Axis: "Hour"},

	"timeline": chart.Timeline{Words: words("t"), From: noon.Add(-72 * time.Hour), To: noon.Add(240 * time.Hour), Zone: time.UTC, Rows: []chart.Row{
		{Name: "pst1", Spans: []chart.Span{{noon.Add(-900 * time.Hour), noon.Add(24 * time.Hour), "Signs", chart.Subject}, {noon.Add(24 * time.Hour), noon.Add(200 * time.Hour), "Stays readable", chart.Faint}}},
		{Name: "pst2", Spans: []chart.Span{{noon.Add(-9 * time.Hour), noon.Add(24 * time.Hour), "Spreads", chart.Faint}, {noon.Add(24 * time.Hour), noon.Add(900 * time.Hour), "Signs", chart.Subject}}}},
		Moments: []chart.Moment{{At: noon, Label: "Now", Now: true}, {At: noon.Add(200 * time.Hour), Label: "Safe to remove"}}},
	"timeline-day": chart.Timeline{Words: words("t"), From: noon, To: noon.Add(6 * time.Hour), Zone: time.UTC, Rows: []chart.Row{
		{Name: "a-very-long-name-of-a-key", Spans: []chart.Span{{noon, noon.Add(time.Second), "too short to see", chart.Subject}}}},
		Moments: []chart.Moment{{At: noon, Label: "Now"}, {At: noon.Add(time.Minute), Label: "Soon"}}},
	"flow":       flow(262, 6, 74, 35, 16, 6, 5, 8),
	"flow-one":   flow(0, 0, 1, 0, 0, 0, 0, 0),
	"flow-empty": flow(0, 0, 0, 0, 0, 0, 0, 0),

	"timeline-empty": chart.Timeline{Words: words("t"), Zone: time.UTC},
}

// flow has eight ways, of so many messages each.
func flow(counts ...int64) chart.Flow {
	nodes := func(names ...string) (all []chart.Node) {
		for _, n := range names {
			all = append(all, chart.Node{Name: n})
		}
		return all
	}
	f := chart.Flow{Words: words("f"), Noun: "message", Head: []string{"Sender", "Verdict", "Agent", "Outcome", "Messages"}, Columns: []chart.Column{
		{Name: "Sender", Nodes: nodes("Known correspondents", "Own domain", "First contact", "Fails DMARC")},
		{Name: "Verdict", Nodes: []chart.Node{{Name: "Clean"}, {Name: "Suspicious", Colour: chart.Warn}, {Name: "Quarantined", Colour: chart.Bad}}},
		{Name: "Agent", Nodes: append(nodes("support-triage", "scout"), chart.Node{Name: "None", Passed: true})},
		{Name: "Outcome", Nodes: []chart.Node{{Name: "Delivered"}, {Name: "Answered"}, {Name: "Kept from agents", Short: "Kept", Colour: chart.Bad}}}}}
	for i, nodes := range [][]int{{0, 0, 0, 0}, {0, 1, 1, 1}, {1, 0, 0, 1}, {2, 0, 1, 0}, {2, 1, 0, 0}, {2, 2, 2, 2}, {3, 1, 0, 0}, {3, 2, 2, 2}} {
		way := chart.Way{Nodes: nodes, Count: counts[i]}
		way.Colour = []chart.Colour{chart.Usual, chart.Warn, chart.Bad}[nodes[1]]
		if way.Count > 0 {
			f.Ways = append(f.Ways, way)
		}
	}
	return f
}

func drawn(t *testing.T, c templ.Component) string {
	t.Helper()
	var b bytes.Buffer
	if err := c.Render(t.Context(), &b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// TestPictures compares each picture with its golden file.
func TestPictures(t *testing.T) {
	for name, c := range pictures {
		t.Run(name, func(t *testing.T) {
			got := strings.ReplaceAll(drawn(t, c), "><", ">\n<") + "\n"
			file := filepath.Join("testdata", name+".svg")
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("%s differs; look at it, then run with -update:\n%s", file, got)
			}
		})
	}
}

// TestPicturesKeepTheRules holds what the policy and WCAG 2.2, success criterion
// 1.1.1, ask of every picture: it is well formed, has names, and no style or script.
func TestPicturesKeepTheRules(t *testing.T) {
	for name, c := range pictures {
		got := drawn(t, c)
		d := xml.NewDecoder(strings.NewReader("<all>" + got + "</all>"))
		for {
			token, err := d.Token()
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatalf("%s is not well formed: %v", name, err)
			}
			if tag, ok := token.(xml.StartElement); ok {
				plain(t, name, tag)
			}
		}
		if strings.Count(got, "<svg") != strings.Count(got, "<desc") {
			t.Errorf("%s has a drawing without description", name)
		}
		ids := map[string]bool{}
		for _, id := range regexp.MustCompile(` id="([^"]*)"`).FindAllStringSubmatch(got, -1) {
			if ids[id[1]] {
				t.Errorf("%s has two of id %s", name, id[1])
			}
			ids[id[1]] = true
		}
	}
}

// plain holds that a tag only draws.
func plain(t *testing.T, name string, tag xml.StartElement) {
	t.Helper()
	if tag.Name.Local == "script" || tag.Name.Local == "style" || tag.Name.Local == "a" {
		t.Errorf("%s has a tag %s", name, tag.Name.Local)
	}
	for _, a := range tag.Attr {
		if strings.HasPrefix(a.Name.Local, "on") || a.Name.Local == "style" || strings.Contains(a.Value, "NaN") || strings.Contains(a.Value, "Inf") {
			t.Errorf("%s: attribute %s=%q of %s", name, a.Name.Local, a.Value, tag.Name.Local)
		}
	}
}

// TestTooManySeries holds that nobody draws what nobody can tell apart.
func TestTooManySeries(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("four series were drawn")
		}
	}()
	chart.Bars{Steps: hours(1), Series: make([]chart.Series, 4)}.Render(t.Context(), io.Discard)
}

func BenchmarkHeat(b *testing.B) {
	h := chart.Heat{Words: words("h"), Steps: hours(24), Noun: "sent"}
	for _, v := range day {
		h.Cells = append(h.Cells, chart.Cell{Value: v})
	}
	for b.Loop() {
		h.Render(b.Context(), io.Discard)
	}
}
