package injection

import (
	"bytes"
	"strings"
	"sync"
)

// markForms gives slots to what is known by its form: mail addresses and links.
func markForms(w *words, text []byte) {
	for i := range w.list {
		x := &w.list[i]
		end := int(x.end)
		if end+3 < len(text) && (text[end] == '@' || text[end] == ':' && text[end+1] == '/' && text[end+2] == '/') {
			x.slots |= slotAddress
		}
	}
}

// Telltales are words that mail in no language has and that a request has when it is
// turned by thirteen letters, or written backwards.
type telltaleSet struct{ table }

// What a telltale is.
const (
	turnedWord slots = 1 << iota
	backwardWord
)

// minTelltales is how many make it worth to turn a text.
const minTelltales = 3

var telltales = sync.OnceValue(func() telltaleSet {
	all := map[uint32]slots{}
	for _, s := range []string{"ignore", "previous", "instructions", "instruction", "system", "prompt", "assistant", "forward", "password", "passwords",
		"message", "messages", "email", "emails", "mailbox", "inbox", "user", "without", "mention", "should", "please", "send", "delete", "reply",
		"following", "address", "attach", "the", "this", "that", "and", "all", "your", "you", "from", "with", "any", "disregard", "reveal", "secret"} {
		all[hashBytes(rot13([]byte(s)))] |= turnedWord
		all[hashBytes(reversed([]byte(s)))] |= backwardWord
	}
	return telltaleSet{newTable(all)}
})

// wordTree is words by their letters: from each node, the next one for each letter.
type wordTree struct {
	next [][26]uint16
	word []bool // that ends at the node
}

// usualWords are those into which a run of letters without spaces is taken apart.
var usualWords = sync.OnceValue(func() *wordTree {
	t := &wordTree{next: make([][26]uint16, 1), word: make([]bool, 1)}
	for _, w := range strings.Fields("a about access account accounts act action add address admin after agent ai all always an and any are as ask assistant at attach attachment be " +
		"before below bot but by can change click code codes command commands contact contacts content contents copy data delete details directions disregard do document does each " +
		"email emails every everything file files find first follow following for forget forward from full give guidelines has have hello here hidden his how human if ignore in inbox " +
		"include including inform information instruction instructions into invoice is it just key keys last link list login mail mailbox make mark me mention message messages must my " +
		"new next no not note notify now of on one only open or order other our output override owner password passwords payment please previous print prior private prompt put read reply " +
		"report reset reveal rule rules run search secret secrets security send sender should show silently so summary system tell text that the their them then there these they this " +
		"to token tokens tool tools transfer unless up url use user users via visit was we when which will with without you your attacker example com net org") {
		t.add(w)
	}
	return t
})

func (t *wordTree) add(w string) {
	n := uint16(0)
	for i := range len(w) {
		to := &t.next[n][w[i]-'a']
		if *to == 0 {
			*to = uint16(len(t.next))
			t.next, t.word = append(t.next, [26]uint16{}), append(t.word, false)
			to = &t.next[n][w[i]-'a']
		}
		n = *to
	}
	t.word[n] = true
}

// longest is the length of the longest usual word that a text begins with.
func (t *wordTree) longest(text []byte) (n int) {
	at := uint16(0)
	for i, c := range text {
		if c < 'a' || c > 'z' {
			return n
		}
		if at = t.next[at][c-'a']; at == 0 {
			return n
		}
		if t.word[at] {
			n = i + 1
		}
	}
	return n
}

// count is how many words of a text are telltales.
func (t telltaleSet) count(w *words) (turned, backwards int) {
	for i := range w.list {
		if n := w.list[i].to - w.list[i].from; n < 3 || n > 12 {
			continue
		}
		switch set := t.of(w.list[i].hash); {
		case set == 0:
		case set&turnedWord != 0:
			turned++
		default:
			backwards++
		}
	}
	return turned, backwards
}

// markup is the markup of chats, prompts and tools, in lower case. Programs put it
// around what a model is told; people do not write it in mail to people.
var markup = [][]byte{
	[]byte("<|im_start|>"), []byte("<|im_end|>"), []byte("<|system|>"), []byte("<|user|>"), []byte("<|assistant|>"), []byte("<|endoftext|>"),
	[]byte("<|start_header_id|>"), []byte("<|eot_id|>"), []byte("[inst]"), []byte("[/inst]"), []byte("<<sys>>"), []byte("<</sys>>"),
	[]byte("<start_of_turn>"), []byte("<end_of_turn>"), []byte("<|start|>"), []byte("<|message|>"), []byte("<|channel|>"), []byte("<|begin_of_text|>"),
	[]byte("### instruction"), []byte("### system"), []byte("### response"),
	[]byte("<system>"), []byte("</system>"), []byte("<tool_call>"), []byte("<function_call"), []byte("<invoke"), []byte("<tool_use>"), []byte("<tool_result"),
	[]byte("\"role\": \"system\""), []byte("\"role\":\"system\""), []byte("\"tool_calls\""), []byte("[system]"), []byte("[system message]"),
	[]byte("system prompt:"), []byte("<instructions>"), []byte("</instructions>"), []byte("\nassistant:"), []byte("\nsystem:"), []byte("\nhuman:"),
}

// hasMarkup reports whether a text has markup of chats or tools.
func hasMarkup(text []byte) bool {
	if !bytes.ContainsAny(text, "<[#\"\n") && !bytes.Contains(text, []byte("prompt:")) {
		return false
	}
	lower := bytes.ToLower(text)
	for _, m := range markup {
		if bytes.Contains(lower, m) {
			return true
		}
	}
	return false
}

// turns are marks that begin and end what is said in a chat, as models are trained on
// it: a text that has a beginning with its end was made to be read as a chat.
var turns = [][2][]byte{
	{[]byte("<|im_start|>"), []byte("<|im_end|>")},
	{[]byte("<|im_start|>"), []byte("<|im_start|>")},
	{[]byte("<|start_header_id|>"), []byte("<|end_header_id|>")},
	{[]byte("<|system|>"), []byte("<|end|>")},
	{[]byte("<|system|>"), []byte("<|user|>")},
	{[]byte("<|start|>"), []byte("<|message|>")},
	{[]byte("<start_of_turn>"), []byte("<end_of_turn>")},
	{[]byte("<<SYS>>"), []byte("<</SYS>>")},
	{[]byte("[INST]"), []byte("[/INST]")},
	{[]byte("<tool_call>"), []byte("</tool_call>")},
	{[]byte("<function_calls>"), []byte("</function_calls>")},
	{[]byte("<tool_use>"), []byte("</tool_use>")},
}

// speaksAsModel reports whether a text has a turn of a chat or a call of a tool.
func speaksAsModel(text []byte) bool {
	if bytes.IndexByte(text, '<') < 0 && bytes.IndexByte(text, '[') < 0 {
		return false
	}
	for _, t := range turns {
		if i := bytes.Index(text, t[0]); i >= 0 && bytes.Contains(text[i+len(t[0]):], t[1]) {
			return true
		}
	}
	return false
}
