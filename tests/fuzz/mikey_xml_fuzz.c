// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

// libFuzzer entry: the input as what a KMS provisions and as a KRR. What a certificate or a KRR says
// is the same after it was written and read again.

#include <stdlib.h>
#include <string.h>

#include "mikey/kms_xml.h"
#include "mikey/krr.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const uint8_t key[32] = {42};
static const struct mikey_shared_key keys[] = {{.id = "a", .value = key, .len = sizeof(key)}};

static void require(bool fact)
{
	if (!fact)
		abort();
}

static void certificate_again(const struct kms_certificate *c)
{
	struct kms_xml out;
	struct mikey_fault fault = {};
	char *text = kms_certificate_write(c, &fault);
	if (!text)
		return;
	require(kms_xml_read(text, strlen(text), NULL, 0, &out, &fault));
	const struct kms_certificate *d = out.certificates;
	require(out.n_certificates == 1 && strcmp(c->kms_uri, d->kms_uri) == 0);
	require(c->valid_to == d->valid_to && c->n_domains == d->n_domains);
	require(c->revoked == d->revoked && memcmp(c->z, d->z, sizeof(c->z)) == 0);
	kms_xml_free(&out);
	free(text);
}

static void kms_read(const char *text, size_t size)
{
	struct kms_xml out;
	struct mikey_fault fault = {};
	if (!kms_xml_read(text, size, keys, 1, &out, &fault)) {
		require(fault.reason != MIKEY_NONE && fault.text[0] && fault.octet <= size);
		return;
	}
	for (size_t i = 0; i < out.n_certificates; i++)
		certificate_again(&out.certificates[i]);
	kms_xml_free(&out);
}

static void krr_again(const struct krr *krr, const char *text, size_t size)
{
	const struct krr_draft draft = {.time = krr->time,
		.creator = krr->creator,
		.initiator_list = {.any = true},
		.receiver_list = {.any = true},
		.received = text,
		.received_len = size};
	struct krr next;
	struct mikey_fault fault = {};
	char *again = krr_write(&draft, &fault);
	if (!again)
		return;
	// It may be too long now.
	if (krr_read(again, strlen(again), NULL, 0, &next, &fault)) {
		require(strcmp(next.initiator, krr->initiator) == 0 && next.received);
		require(next.receiver_list.n == krr->receiver_list.n);
		require(next.received->signature == krr->signature);
		krr_free(&next);
	} else {
		require(strlen(again) > 65536);
	}
	free(again);
}

static void document_read(const char *text, size_t size)
{
	static const struct krr_kms kms[] = {
		{"a", KRR_HOME}, {"b", KRR_MIGRATION}, {"c", KRR_EXTERNAL}};
	const struct krr_policy policy = {.allow = true, .request_unknown = true};
	struct krr krr;
	struct krr_choice choice;
	struct mikey_fault fault = {};
	kms_read(text, size);
	if (!krr_read(text, size, NULL, 0, &krr, &fault)) {
		require(fault.reason != MIKEY_NONE && fault.text[0] && fault.octet <= size);
		return;
	}
	krr_choose(&krr, &policy, kms, 3, &choice, &fault);
	free(choice.unknown);
	krr_again(&krr, text, size);
	krr_free(&krr);
}

// --- documents that get further than the parser: each octet is an element, its end or a value

static const char *const names[] = {"KmsCertificate", "KmsKeySet", "KmsInit", "KmsKeyProv",
	"KmsCertCache", "KmsResponse", "KmsMessage", "SignedKmsResponse", "SignedKmsCertificate",
	"NewTransportKey", "CertUri", "KmsUri", "Issuer", "ValidFrom", "ValidTo", "Revoked",
	"UserIdFormat", "UserKeyPeriod", "UserKeyOffset", "PubEncKey", "PubAuthKey",
	"KmsDomainList", "KmsDomain", "UserUri", "UserID", "KeyPeriodNo", "UserDecryptKey",
	"UserSigningKeySSK", "UserPubTokenPVT", "KmsRedirectResponse", "Time", "KRRCreatorUri",
	"InitiatorUri", "InitiatorKmsUri", "ReceiverUri", "ReceiverKmsUri", "InitiatorKmsList",
	"ReceiverKmsList", "ANY", "ReceivedKmsRedirectResponse", "Signature", "SignedInfo",
	"Reference", "Transforms", "EncryptedKey", "EncryptionMethod", "KeyInfo", "KeyName",
	"CipherData", "CipherValue"};
static const char *const values[] = {"a", "b", "2", "1", "true", "2026-11-28T22:00:00", "3600", " ",
	"<!-- -->", "&amp;", "\xc3\xa9", "AAAA"};

enum {
	N_NAMES = sizeof(names) / sizeof(*names),
	N_VALUES = sizeof(values) / sizeof(*values),
	TEXT_MAX = 1 << 16,
	OPEN_MAX = 40
};

struct builder {
	char *text;
	size_t len;
	const char *open[OPEN_MAX];
	unsigned n_open;
};

static void add(struct builder *b, const char *text)
{
	size_t len = strlen(text);
	if (b->len + len > TEXT_MAX)
		return;
	memcpy(b->text + b->len, text, len);
	b->len += len;
}

static void element_open(struct builder *b, const char *name, const char *attributes)
{
	if (b->n_open == OPEN_MAX)
		return;
	b->open[b->n_open++] = name;
	add(b, "<");
	add(b, name);
	add(b, attributes);
	add(b, ">");
}

static void element_close(struct builder *b)
{
	add(b, "</");
	add(b, b->open[--b->n_open]);
	add(b, ">");
}

static void element_octets(struct builder *b, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		add(b, "04");
}

static void document_build(struct builder *b, const uint8_t *data, size_t size)
{
	static const char *const attributes[] = {
		" xmlns='urn:3gpp:ns:mcsecKMSInterface:1.0' Id='a'",
		" xmlns='urn:3gpp:ns:mcsecKMSKRR:1.0' Id='a' Version='1.0.0'"};
	for (size_t i = 0; i < size; i++) {
		unsigned kind = data[i];
		if (b->n_open == 0)
			element_open(b, names[kind % N_NAMES], attributes[kind >> 7]);
		else if (kind < N_NAMES)
			element_open(b, names[kind], "");
		else if (kind - N_NAMES < N_VALUES)
			add(b, values[kind - N_NAMES]);
		else if (kind > 250)
			element_octets(b, (const unsigned[]){32, 65, 257, 40, 272}[kind - 251]);
		else if (b->n_open > 1)
			element_close(b);
	}
	while (b->n_open > 0)
		element_close(b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct builder b = {.text = malloc(TEXT_MAX)};
	require(b.text);
	document_read((const char *)data, size);
	document_build(&b, data, size);
	document_read(b.text, b.len);
	free(b.text);
	return 0;
}
