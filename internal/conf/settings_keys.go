package conf

import (
	"encoding"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// Key is one setting, for help, schema and documentation.
type Key struct {
	Name        string   `json:"name"`             // in skalds.yml
	Env         string   `json:"env"`              // in the environment and in .env
	Flag        string   `json:"flag"`             // with its dashes; not every command has it
	Type        string   `json:"type"`             // in words: "text", "whole number", "true or false", …
	Words       []string `json:"words,omitempty"`  // what it can be, where that is one of a few words
	Default     string   `json:"default"`          //
	Secret      bool     `json:"secret,omitempty"` // masked wherever it is shown
	Section     string   `json:"section"`          // heading
	Description string   `json:"description"`
	NoEffect    bool     `json:"noEffect,omitempty"` // known only because the original has it

	index int
}

// Keys are all settings, in the order in which people should meet them.
func Keys() []Key {
	t, defaults := reflect.TypeFor[Settings](), reflect.ValueOf(DefaultSettings())
	keys := make([]Key, t.NumField())
	section := ""
	for i := range keys {
		f := t.Field(i)
		if s := f.Tag.Get("section"); s != "" {
			section = s
		}
		name := f.Tag.Get("yaml")
		flag := f.Tag.Get("flag")
		if flag == "" {
			flag = "--" + strings.ReplaceAll(name, "_", "-")
		}
		keys[i] = Key{
			Name: name, Env: strings.ToUpper(name), Flag: flag, Type: typeName(f.Type), Default: valueText(defaults.Field(i)),
			Secret: f.Tag.Get("secret") != "", Section: section, Description: f.Tag.Get("help"),
			NoEffect: f.Tag.Get("effect") == "none", index: i,
		}
		if w, ok := reflect.Zero(f.Type).Interface().(interface{ words() []string }); ok {
			keys[i].Words = slices.Clone(w.words())
		}
	}
	return keys
}

// keyNames are the names of keys, in their order.
func keyNames(keys []Key) []string {
	names := make([]string, len(keys))
	for i, k := range keys {
		names[i] = k.Name
	}
	return names
}

func typeName(t reflect.Type) string {
	switch t {
	case reflect.TypeFor[List]():
		return "list"
	case reflect.TypeFor[Labels]():
		return "labels"
	case reflect.TypeFor[Duration]():
		return "duration"
	case reflect.TypeFor[Seconds]():
		return "duration, bare numbers are seconds"
	case reflect.TypeFor[Days]():
		return "duration, bare numbers are days"
	}
	switch t.Kind() {
	case reflect.Int:
		return "whole number"
	case reflect.Bool:
		return "true or false"
	}
	if _, ok := reflect.Zero(t).Interface().(interface{ words() []string }); ok {
		return "word"
	}
	return "text"
}

// valueText is the text of a setting's value, as setText reads it.
func valueText(v reflect.Value) string {
	if m, ok := v.Interface().(encoding.TextMarshaler); ok {
		text, err := m.MarshalText()
		if err != nil {
			return fmt.Sprint(v.Interface())
		}
		return string(text)
	}
	switch v.Kind() {
	case reflect.Int:
		return strconv.FormatInt(v.Int(), 10)
	case reflect.Bool:
		return strconv.FormatBool(v.Bool())
	}
	return v.String()
}

// setText gives a setting the value of a text, wherever that comes from.
func setText(v reflect.Value, text string) error {
	if u, ok := v.Addr().Interface().(encoding.TextUnmarshaler); ok {
		return u.UnmarshalText([]byte(text))
	}
	switch v.Kind() {
	case reflect.Int:
		n, err := parseInt(text)
		if err != nil {
			return err
		}
		v.SetInt(int64(n))
	case reflect.Bool:
		b, err := parseBool(text)
		if err != nil {
			return err
		}
		v.SetBool(b)
	default:
		v.SetString(text)
	}
	return nil
}
