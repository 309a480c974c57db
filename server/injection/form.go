package injection

import "bytes"

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
type telltaleSet struct{ turned, backwards map[uint32]bool }

// minTelltales is how many make it worth to turn a text.
const minTelltales = 3

var telltales = func() telltaleSet {
	t := telltaleSet{map[uint32]bool{}, map[uint32]bool{}}
	for _, s := range []string{"ignore", "previous", "instructions", "instruction", "system", "prompt", "assistant", "forward", "password", "passwords",
		"message", "messages", "email", "emails", "mailbox", "inbox", "user", "without", "mention", "should", "please", "send", "delete", "reply",
		"following", "address", "attach", "the", "this", "that", "and", "all", "your", "you", "from", "with", "any", "disregard", "reveal", "secret"} {
		t.turned[hashBytes(rot13([]byte(s)))] = true
		t.backwards[hashBytes(reversed([]byte(s)))] = true
	}
	return t
}()

// count is how many words of a text are telltales.
func (t telltaleSet) count(w *words) (turned, backwards int) {
	for i := range w.list {
		if n := w.list[i].to - w.list[i].from; n < 3 || n > 12 {
			continue
		}
		h := hashBytes(w.at(i))
		if t.turned[h] {
			turned++
		}
		if t.backwards[h] {
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
	[]byte("<start_of_turn>"), []byte("<end_of_turn>"), []byte("### instruction"), []byte("### system"), []byte("### response"),
	[]byte("<system>"), []byte("</system>"), []byte("<tool_call>"), []byte("<function_call"), []byte("<invoke"), []byte("<tool_use>"),
	[]byte("\"role\": \"system\""), []byte("\"role\":\"system\""), []byte("\"tool_calls\""), []byte("[system]"), []byte("[system message]"),
	[]byte("system prompt:"), []byte("<instructions>"), []byte("</instructions>"), []byte("\nassistant:"), []byte("\nsystem:"),
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
