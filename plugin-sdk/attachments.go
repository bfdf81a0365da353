package sdk

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"regexp"
	"strings"
)

// decodeAttachments decodes strictly into a copy of defaults: a field that does not exist or has the wrong type is an
// error that names it. secret resolves `${secret:NAME}` inside strings.
func decodeAttachments[A any](ctx context.Context, raw json.RawMessage, defaults A, secret func(context.Context, string) (string, error)) (A, error) {
	out := deepCopy(defaults)
	if len(bytes.TrimSpace(raw)) == 0 || bytes.Equal(bytes.TrimSpace(raw), []byte("null")) {
		raw = json.RawMessage("{}")
	}
	raw, err := resolveSecrets(ctx, raw, secret)
	if err != nil {
		return out, err
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	if err := d.Decode(&out); err != nil {
		var te *json.UnmarshalTypeError
		if errors.As(err, &te) {
			at, want := "attachments", te.Type.String()
			if te.Field != "" {
				at += "." + te.Field
			}
			if te.Type.Kind() == reflect.Struct {
				want = "object"
			}
			return out, fmt.Errorf("%s: %s does not fit, want %s", at, te.Value, want)
		}
		return out, fmt.Errorf("attachments: %s", strings.TrimPrefix(err.Error(), "json: "))
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return out, errors.New("attachments: text after the JSON value")
	}
	return out, nil
}

// deepCopy keeps tasks from sharing slices and maps of the defaults.
func deepCopy[A any](v A) A {
	if reflect.ValueOf(&v).Elem().Kind() == reflect.Struct {
		if b, err := json.Marshal(v); err == nil {
			var c A
			if json.Unmarshal(b, &c) == nil {
				return c
			}
		}
	}
	return v
}

var secretPattern = regexp.MustCompile(`\$\{secret:([A-Za-z0-9._-]+)\}`)

func resolveSecrets(ctx context.Context, raw json.RawMessage, secret func(context.Context, string) (string, error)) (json.RawMessage, error) {
	if !bytes.Contains(raw, []byte("${secret:")) {
		return raw, nil
	}
	var failed error
	out := secretPattern.ReplaceAllFunc(raw, func(m []byte) []byte {
		name := string(secretPattern.FindSubmatch(m)[1])
		v, err := secret(ctx, name)
		if err != nil {
			failed = errors.Join(failed, fmt.Errorf("attachments: %w", err))
			return m
		}
		quoted, err := json.Marshal(v)
		if err != nil {
			failed = errors.Join(failed, err)
			return m
		}
		return quoted[1 : len(quoted)-1] // inside a JSON string already
	})
	return out, failed
}
