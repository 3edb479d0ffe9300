// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include "mikey/krr.h"
#include "mikey/xml.h"
#include "tests/unit/vectors.h"

enum { NOW = 1794470327 };

// --- who signs

struct author {
	char key[2048], certificate[4096]; // PEM
	uint8_t der[2048];
	struct mikey_octets certificate_der;
	struct mikey_certified_key signer;
};

static struct author alice, bob,
	carol; // on P-256, on P-384, on P-256 with a certificate as long as Alice's

static void pem_take(BIO *bio, char *out, size_t size)
{
	int len = BIO_read(bio, out, (int)size - 1);
	assert_true(len > 0);
	out[len] = '\0';
	BIO_free(bio);
}

static void author_make(struct author *a, const char *curve)
{
	EVP_PKEY *key = EVP_EC_gen(curve);
	X509 *certificate = X509_new();
	assert_true(key && certificate);
	ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
	X509_gmtime_adj(X509_getm_notBefore(certificate), 0);
	X509_gmtime_adj(X509_getm_notAfter(certificate), 3600);
	assert_int_equal(X509_set_pubkey(certificate, key), 1);
	assert_true(X509_sign(certificate, key, EVP_sha256()) > 0);
	BIO *bio = BIO_new(BIO_s_mem());
	assert_int_equal(PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL), 1);
	pem_take(bio, a->key, sizeof(a->key));
	bio = BIO_new(BIO_s_mem());
	assert_int_equal(PEM_write_bio_X509(bio, certificate), 1);
	pem_take(bio, a->certificate, sizeof(a->certificate));
	uint8_t *at = a->der;
	int len = i2d_X509(certificate, &at);
	assert_in_range(len, 1, sizeof(a->der));
	a->certificate_der = (struct mikey_octets){.octets = a->der, .len = (size_t)len};
	a->signer = (struct mikey_certified_key){.key = a->key, .certificate = a->certificate};
	X509_free(certificate);
	EVP_PKEY_free(key);
}

static int authors_make(void **state)
{
	(void)state;
	author_make(&alice, "P-256");
	author_make(&bob, "P-384");
	do
		author_make(&carol, "P-256");
	while (carol.certificate_der.len != alice.certificate_der.len);
	return 0;
}

// --- KRRs

#define LIST(...)                                                                                  \
	{.uris = (const char *[]){__VA_ARGS__},                                                    \
		.n = sizeof((const char *[]){__VA_ARGS__}) / sizeof(const char *)}
#define ANY {.any = true}

static struct krr_draft first_draft(void)
{
	static const char *receivers[] = {"a.partner.example", "b.partner.example"};
	return (struct krr_draft){.time = NOW,
		.creator = "sip:proxy&1@example.org",
		.initiator = "sip:ingrid@example.org",
		.initiator_kms = "kms.example.org",
		.receiver = "sip:ulf@partner.example",
		.receiver_kms = "old.partner.example",
		.initiator_list = ANY,
		.receiver_list = {.uris = receivers, .n = 2}};
}

static char *expect_written(const struct krr_draft *draft)
{
	struct mikey_fault fault = {};
	char *text = krr_write(draft, &fault);
	if (!text)
		fail_msg("%s: %s", mikey_reason_slug(fault.reason), fault.text);
	return text;
}

static void expect_read(const char *text, struct krr *krr)
{
	struct mikey_fault fault = {};
	if (!krr_read(text, strlen(text), NULL, 0, krr, &fault))
		fail_msg("%s: %s in %s", mikey_reason_slug(fault.reason), fault.text, text);
}

static void expect_refused(const char *text, enum mikey_reason reason, const char *says)
{
	struct mikey_fault fault = {};
	struct krr krr;
	bool ok = krr_read(text, strlen(text), NULL, 0, &krr, &fault);
	if (ok || fault.reason != reason || !strstr(fault.text, says))
		fail_msg("%s: %s; expected: %s, %s in %s",
			ok ? "taken" : mikey_reason_slug(fault.reason), ok ? "" : fault.text,
			mikey_reason_slug(reason), says, text);
	assert_null(krr.creator);
	assert_null(krr.received);
}

// The next one, made of one that is freed.
static char *next_write(char *received, struct krr_draft *draft)
{
	draft->received = received;
	draft->received_len = strlen(received);
	char *text = expect_written(draft);
	free(received);
	return text;
}

static char *changed(const char *text, const char *from, const char *to)
{
	const char *at = strstr(text, from);
	char *out = NULL;
	if (!at)
		fail_msg("no %s in %s", from, text);
	assert_true(asprintf(&out, "%.*s%s%s", (int)(at - text), text, to, at + strlen(from)) > 0);
	return out;
}

static void expect_change_refused(const char *text, const char *from, const char *to,
	enum mikey_reason reason, const char *says)
{
	char *other = changed(text, from, to);
	expect_refused(other, reason, says);
	free(other);
}

// --- writing and reading

static void what_is_written_is_read(void **state)
{
	(void)state;
	struct krr krr;
	struct krr_draft draft = first_draft();
	char *text = expect_written(&draft);
	expect_read(text, &krr);
	assert_int_equal(krr.time, NOW);
	assert_string_equal(krr.creator, draft.creator);
	assert_string_equal(krr.initiator, draft.initiator);
	assert_string_equal(krr.initiator_kms, draft.initiator_kms);
	assert_string_equal(krr.receiver, draft.receiver);
	assert_string_equal(krr.receiver_kms, draft.receiver_kms);
	assert_true(krr.initiator_list.any);
	assert_false(krr.receiver_list.any);
	assert_int_equal(krr.receiver_list.n, 2);
	assert_string_equal(krr.receiver_list.uris[0], "a.partner.example");
	assert_int_equal(krr.signature, MIKEY_UNSIGNED);
	assert_int_equal(krr.n_received, 0);
	krr_free(&krr);
	free(text);
}

// 5.2.8.2.4: lists are reduced, to nothing if need be.
static void lists_are_reduced(void **state)
{
	(void)state;
	struct krr krr;
	struct krr_draft draft = first_draft();
	struct krr_draft next = {.time = NOW + 3,
		.creator = "sip:proxy.2@example.org",
		.initiator_list = LIST("kms.example.org", "mig.example.org"),
		.receiver_list = LIST("c.partner.example", "b.partner.example")};
	char *text = next_write(expect_written(&draft), &next);
	expect_read(text, &krr);
	assert_string_equal(krr.creator, "sip:proxy.2@example.org");
	assert_string_equal(krr.initiator, draft.initiator);
	assert_int_equal(krr.initiator_list.n, 2);
	assert_string_equal(krr.initiator_list.uris[0], "kms.example.org");
	assert_int_equal(krr.receiver_list.n, 1);
	assert_string_equal(krr.receiver_list.uris[0], "b.partner.example");
	assert_int_equal(krr.n_received, 1);
	assert_string_equal(krr.received->creator, draft.creator);
	assert_int_equal(krr.received->receiver_list.n, 2);
	krr_free(&krr);
	next.initiator_list = (struct krr_list)ANY;
	next.receiver_list = (struct krr_list){};
	text = next_write(text, &next);
	expect_read(text, &krr);
	assert_int_equal(krr.initiator_list.n, 2);
	assert_int_equal(krr.receiver_list.n, 0);
	assert_false(krr.receiver_list.any);
	assert_int_equal(krr.n_received, 2);
	krr_free(&krr);
	free(text);
}

static void chains_end(void **state)
{
	(void)state;
	struct krr krr;
	struct mikey_fault fault;
	struct krr_draft draft = first_draft();
	struct krr_draft next = {.time = NOW,
		.creator = "sip:next@example.org",
		.initiator_list = ANY,
		.receiver_list = ANY};
	char *text = expect_written(&draft);
	for (unsigned i = 0; i < KRR_RECEIVED_MAX; i++)
		text = next_write(text, &next);
	expect_read(text, &krr);
	assert_int_equal(krr.n_received, KRR_RECEIVED_MAX);
	krr_free(&krr);
	next.received = text;
	next.received_len = strlen(text);
	assert_null(krr_write(&next, &fault));
	assert_int_equal(fault.reason, MIKEY_KRR_DEPTH);
	// One more inside, made by hand.
	const char *inner = strstr(text, "<KmsRedirectResponse");
	char *wrapped = NULL;
	const char *end = strstr(inner, "</ReceiverKmsList>") + strlen("</ReceiverKmsList>");
	assert_true(asprintf(&wrapped,
			    "%.*s<ReceivedKmsRedirectResponse>%s</ReceivedKmsRedirectResponse>"
			    "</KmsRedirectResponse>",
			    (int)(end - inner), inner, inner) > 0);
	expect_refused(wrapped, MIKEY_KRR_DEPTH, "has 6 KRRs");
	free(wrapped);
	free(text);
}

static void other_krrs_are_refused(void **state)
{
	(void)state;
	static const struct {
		const char *from, *to;
		enum mikey_reason reason;
		const char *says;
	} rows[] = {
		{"<Time>", "<Time>1", MIKEY_XML_VALUE, "KmsRedirectResponse/Time"},
		{"<ANY/>", "<ANY>x</ANY>", MIKEY_XML_VALUE, "ANY: has text"},
		{"<ANY/>", "<ANY/><KmsUri>a</KmsUri>", MIKEY_XML_ELEMENT, "ANY and KmsUri"},
		{"<ANY/>", "<Any/>", MIKEY_XML_ELEMENT, "InitiatorKmsList/Any"},
		{"<ANY/>", "<KmsUri/>", MIKEY_ID_VALUE, "InitiatorKmsList/KmsUri"},
		{"KmsRedirectResponse xmlns", "KmsRedirectResponse xmlns:a", MIKEY_XML_ELEMENT,
			"is no KRR"},
		{"<InitiatorKmsList><ANY/></InitiatorKmsList>", "", MIKEY_XML_ELEMENT,
			"has no InitiatorKmsList"},
		{"<?xml", "<!DOCTYPE a><?xml", MIKEY_MALFORMED, "DTD"},
		// What 5.2.8.2.4 does not make: another message inside, a list that grew.
		{"<InitiatorUri>", "<InitiatorUri>x", MIKEY_KRR_POLICY, "another I_MESSAGE"},
		{"<InitiatorKmsUri>", "<InitiatorKmsUri>x", MIKEY_KRR_POLICY, "another I_MESSAGE"},
		{"<ReceiverUri>", "<ReceiverUri>x", MIKEY_KRR_POLICY, "another I_MESSAGE"},
		{"<ReceiverKmsUri>", "<ReceiverKmsUri>x", MIKEY_KRR_POLICY, "another I_MESSAGE"},
		{"<ReceiverKmsList>", "<ReceiverKmsList><KmsUri>x</KmsUri>", MIKEY_KRR_POLICY,
			"lists a KMS that the KRR inside does not"},
	};
	struct krr_draft draft = first_draft();
	struct krr_draft next = {.time = NOW,
		.creator = "sip:next@example.org",
		.initiator_list = ANY,
		.receiver_list = ANY};
	char *text = next_write(expect_written(&draft), &next);
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		expect_change_refused(text, rows[i].from, rows[i].to, rows[i].reason, rows[i].says);
	// Fewer than ANY is a reduced list.
	char *fewer = changed(text, "<ANY/>", "<KmsUri>kms.example.org</KmsUri>");
	struct krr krr;
	expect_read(fewer, &krr);
	krr_free(&krr);
	free(fewer);
	free(text);
}

static void other_drafts_are_refused(void **state)
{
	(void)state;
	struct mikey_fault fault;
	struct krr_draft draft = first_draft();
	char *text = expect_written(&draft);
	struct krr_draft next = draft;
	next.received = text;
	next.received_len = strlen(text);
	next.receiver = "sip:tarek@partner.example";
	assert_null(krr_write(&next, &fault));
	assert_int_equal(fault.reason, MIKEY_KRR_POLICY);
	next.receiver = NULL;
	next.received_len -= 2;
	assert_null(krr_write(&next, &fault));
	assert_int_equal(fault.reason, MIKEY_MALFORMED);
	free(text);
	draft.creator = "";
	assert_null(krr_write(&draft, &fault));
	assert_int_equal(fault.reason, MIKEY_ID_VALUE);
	draft = first_draft();
	draft.receiver_list = (struct krr_list)LIST("a b");
	assert_null(krr_write(&draft, &fault));
	assert_int_equal(fault.reason, MIKEY_ID_VALUE);
	draft = first_draft();
	draft.time = UINT64_MAX;
	assert_null(krr_write(&draft, &fault));
	assert_int_equal(fault.reason, MIKEY_XML_VALUE);
	draft = first_draft();
	const struct mikey_certified_key mixed = {.key = alice.key, .certificate = bob.certificate};
	draft.signer = &mixed;
	assert_null(krr_write(&draft, &fault));
	assert_int_equal(fault.reason, MIKEY_XML_VALUE);
}

// --- signatures

static void signed_by_both(void **state)
{
	(void)state;
	const struct author *authors[] = {&alice, &bob};
	for (size_t i = 0; i < 2; i++) {
		struct krr krr;
		struct krr_draft draft = first_draft();
		draft.signer = &authors[i]->signer;
		struct krr_draft next = {.time = NOW,
			.creator = "sip:next@example.org",
			.initiator_list = ANY,
			.receiver_list = LIST("a.partner.example"),
			.signer = &authors[!i]->signer};
		char *text = next_write(expect_written(&draft), &next);
		expect_read(text, &krr);
		assert_int_equal(krr.signature, MIKEY_UNTRUSTED);
		assert_int_equal(krr.received->signature, MIKEY_UNTRUSTED);
		krr_free(&krr);
		// Whom to trust: the outer one, the inner one.
		struct mikey_fault fault;
		assert_true(krr_read(
			text, strlen(text), &authors[!i]->certificate_der, 1, &krr, &fault));
		assert_int_equal(krr.signature, MIKEY_VERIFIED);
		assert_int_equal(krr.received->signature, MIKEY_UNVERIFIED);
		krr_free(&krr);
		free(text);
	}
}

// Whatever is changed: the signature does not verify, or nothing that is read has changed.
static void no_character_can_be_changed(void **state)
{
	(void)state;
	struct krr_draft draft = first_draft();
	draft.signer = &alice.signer;
	char *text = expect_written(&draft);
	const size_t len = strlen(text);
	size_t verified = 0;
	for (size_t i = 0; i < len; i++) {
		struct krr krr;
		struct mikey_fault fault;
		text[i] ^= 1;
		if (krr_read(text, len, NULL, 0, &krr, &fault)) {
			if (krr.signature == MIKEY_UNTRUSTED) {
				verified++;
				assert_int_equal(krr.time, NOW);
				assert_string_equal(krr.creator, draft.creator);
				assert_string_equal(krr.receiver_kms, draft.receiver_kms);
				assert_int_equal(krr.receiver_list.n, 2);
				assert_string_equal(krr.receiver_list.uris[1], "b.partner.example");
			}
			krr_free(&krr);
		}
		text[i] ^= 1;
	}
	// Of the XML declaration and of the certificate, beside its key.
	assert_true(verified < len / 2);
	free(text);
}

static void signatures_of_others(void **state)
{
	(void)state;
	static const struct {
		const char *from, *to;
		enum mikey_signed signature;
	} rows[] = {
		// Over an element with the signature in it.
		{"<Transform Algorithm=\"http://www.w3.org/2000/09/xmldsig#enveloped-signature\"/>"
		 "<Transform Algorithm=\"http://www.w3.org/TR/2001/REC-xml-c14n-20010315\"/>",
			"", MIKEY_UNSIGNED},
		{"<Transforms><Transform Algorithm=\"http://www.w3.org/2000/09/"
		 "xmldsig#enveloped-signature\"/><Transform "
		 "Algorithm=\"http://www.w3.org/TR/2001/REC-xml-c14n-20010315\"/></Transforms>",
			"", MIKEY_UNSIGNED},
		{"xmldsig#enveloped-signature", "xmldsig#base64", MIKEY_UNVERIFIED},
		{"\"/></Transforms>", "\"/><Transform Algorithm=\"x\"/></Transforms>",
			MIKEY_UNVERIFIED},
		{"xmldsig-more#ecdsa-sha256", "xmldsig-more#rsa-sha256", MIKEY_UNVERIFIED},
		{"xmlenc#sha256", "xmldsig#sha1", MIKEY_UNVERIFIED},
		{"CanonicalizationMethod Algorithm=\"http://www.w3.org/TR/2001/",
			"CanonicalizationMethod Algorithm=\"http://www.w3.org/2001/10/",
			MIKEY_UNVERIFIED},
		{"X509Certificate>", "X509CRL>", MIKEY_UNVERIFIED},
		{"<SignatureValue>", "<SignatureValue/><SignatureValue>", MIKEY_UNVERIFIED},
	};
	struct krr_draft draft = first_draft();
	draft.signer = &alice.signer;
	char *text = expect_written(&draft);
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct krr krr;
		char *other = changed(text, rows[i].from, rows[i].to);
		if (strstr(rows[i].to, "X509CRL")) {
			char *both = changed(other, "/X509Certificate>", "/X509CRL>");
			free(other);
			other = both;
		}
		expect_read(other, &krr);
		if (krr.signature != rows[i].signature)
			fail_msg("row %zu: %d", i, krr.signature);
		krr_free(&krr);
		free(other);
	}
	// Over another element: this one's Id is not the one, or is not its alone.
	expect_change_refused(
		text, "URI=\"#krr-", "URI=\"#krr_", MIKEY_KRR_SIGNATURE, "is over #krr_");
	expect_change_refused(text, "URI=\"#", "URI=\"", MIKEY_KRR_SIGNATURE, "is over krr-");
	expect_change_refused(text, " URI=", " Uri=", MIKEY_KRR_SIGNATURE, "is over no URI");
	char *id = strndup(strstr(text, "Id=\""), strlen("Id=\"krr-0123456789abcdef\""));
	char *twice = NULL;
	assert_true(asprintf(&twice, "<v:a xmlns:v=\"urn:v\" %s/></KmsRedirectResponse>", id) > 0);
	expect_change_refused(
		text, "</KmsRedirectResponse>", twice, MIKEY_KRR_SIGNATURE, "is over #");
	expect_change_refused(text, "<Time>", "<Time> ", MIKEY_KRR_SIGNATURE, "another content");
	free(twice);
	free(id);
	free(text);
}

// The schema of KRRs has Signature in their own namespace.
static void signature_in_the_other_namespace(void **state)
{
	(void)state;
	struct krr krr;
	struct krr_draft draft = first_draft();
	draft.signer = &alice.signer;
	char *text = expect_written(&draft);
	static const char *const changes[][2] = {
		{"<Signature xmlns=\"" XML_NS_DSIG "\"><SignedInfo>",
			"<Signature><SignedInfo xmlns=\"" XML_NS_DSIG "\">"},
		{"<SignatureValue>", "<SignatureValue xmlns=\"" XML_NS_DSIG "\">"},
		{"<KeyInfo>", "<KeyInfo xmlns=\"" XML_NS_DSIG "\">"},
	};
	for (size_t i = 0; i < 3; i++) {
		char *other = changed(text, changes[i][0], changes[i][1]);
		free(text);
		text = other;
	}
	expect_read(text, &krr);
	assert_int_equal(krr.signature, MIKEY_UNTRUSTED);
	krr_free(&krr);
	expect_change_refused(
		text, "b.partner", "c.partner", MIKEY_KRR_SIGNATURE, "another content");
	free(text);
}

// Made by xmlsec1, with prefixes and white space, and one inside of another.
static void a_certificate_is_compared_whole(void **state)
{
	(void)state;
	const struct author *trusted[] = {&alice, &bob, &carol};
	struct krr_draft draft = first_draft();
	draft.signer = &alice.signer;
	char *text = expect_written(&draft);
	for (size_t i = 0; i < 3; i++) {
		struct krr krr;
		struct mikey_fault fault;
		assert_true(krr_read(
			text, strlen(text), &trusted[i]->certificate_der, 1, &krr, &fault));
		assert_int_equal(krr.signature, i == 0 ? MIKEY_VERIFIED : MIKEY_UNVERIFIED);
		krr_free(&krr);
	}
	free(text);
}

static void another_signature_value_is_refused(void **state)
{
	(void)state;
	struct krr_draft draft = first_draft();
	draft.signer = &alice.signer;
	char *text = expect_written(&draft);
	char *value = strstr(text, "<SignatureValue>") + strlen("<SignatureValue>");
	for (size_t i = 0; i < 64; i++) {
		const char was = value[i];
		value[i] = was == 'A' ? 'B' : 'A';
		expect_refused(text, MIKEY_KRR_SIGNATURE, "does not verify");
		value[i] = was;
	}
	free(text);
}

static void signed_by_xmlsec(void **state)
{
	(void)state;
	struct vectors *file = vectors_read("xml_signed.txt");
	static const char *const names[] = {"krr_prefixed", "krr_chain"};
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		const char *text = vector_text(vectors_find(file, names[i]), "document");
		struct krr krr;
		expect_read(text, &krr);
		for (const struct krr *at = &krr; at; at = at->received)
			assert_int_equal(at->signature, MIKEY_UNTRUSTED);
		krr_free(&krr);
		expect_change_refused(
			text, "option1", "option7", MIKEY_KRR_SIGNATURE, "another content");
		// Within another one it still verifies, for others, too: no namespace is around it.
		struct krr_draft next = {.time = NOW,
			.creator = "sip:next@example.org",
			.initiator_list = ANY,
			.receiver_list = ANY,
			.signer = &bob.signer};
		char *outer = next_write(strdup(text), &next);
		assert_non_null(strstr(
			outer, i == 0 ? "<k:KRRCreatorUri>sip:next" : "<KRRCreatorUri>sip:next"));
		expect_read(outer, &krr);
		for (const struct krr *at = &krr; at; at = at->received)
			assert_int_equal(at->signature, MIKEY_UNTRUSTED);
		krr_free(&krr);
		free(outer);
	}
	vectors_free(file);
}

// --- choosing (5.2.8.2.5)

static void choices(void **state)
{
	(void)state;
	static const struct krr_kms kms[] = {{"e1", KRR_EXTERNAL}, {"m1", KRR_MIGRATION},
		{"home", KRR_HOME}, {"m2", KRR_MIGRATION}, {"e2", KRR_EXTERNAL}};
	static const struct {
		const char *initiator, *receiver;         // lists; NULL: ANY
		const char *initiator_kms, *receiver_kms; // NULL: none
		size_t n_unknown;
	} rows[] = {
		{NULL, NULL, "home", "home", 0},
		{"m2 home", "e2 home", "home", "home", 0},
		{"m2 m1", "e2 m1", "m2", "e2", 0},
		{"x e1 m1 m2", "x e1 m1", "m1", "e1", 1},
		{"x", "home", NULL, NULL, 0},
		{"e1", "home", NULL, NULL, 0},
		{"home", "x y", "home", NULL, 2},
		{"", NULL, NULL, NULL, 0},
		{NULL, "", "home", NULL, 0},
	};
	const struct krr_policy policy = {.allow = true, .request_unknown = true};
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		const char *texts[] = {rows[i].initiator, rows[i].receiver};
		char copies[2][32];
		const char *uris[2][8];
		struct krr krr = {.creator = "c"};
		struct krr_list *lists[] = {&krr.initiator_list, &krr.receiver_list};
		for (size_t k = 0; k < 2; k++) {
			lists[k]->any = !texts[k];
			lists[k]->uris = uris[k];
			snprintf(copies[k], sizeof(copies[k]), "%s", texts[k] ? texts[k] : "");
			for (char *at = strtok(copies[k], " "); at; at = strtok(NULL, " "))
				uris[k][lists[k]->n++] = at;
		}
		struct krr_choice choice;
		struct mikey_fault fault;
		bool ok = krr_choose(&krr, &policy, kms, 5, &choice, &fault);
		assert_int_equal(ok, rows[i].initiator_kms && rows[i].receiver_kms);
		if (!ok)
			assert_int_equal(fault.reason, MIKEY_NO_COMMON_KMS);
		if (rows[i].initiator_kms)
			assert_string_equal(choice.initiator_kms, rows[i].initiator_kms);
		if (rows[i].receiver_kms)
			assert_string_equal(choice.receiver_kms, rows[i].receiver_kms);
		assert_int_equal(choice.n_unknown, rows[i].n_unknown);
		free(choice.unknown);
	}
}

static void policies(void **state)
{
	(void)state;
	static const struct krr_kms kms[] = {{"home", KRR_HOME}};
	const struct krr_policy none = {}, any = {.allow = true},
				strict = {.allow = true, .require_signed = true};
	struct krr krr = {.creator = "c", .initiator_list = ANY, .receiver_list = ANY};
	struct krr_choice choice;
	struct mikey_fault fault;
	assert_false(krr_choose(&krr, &none, kms, 1, &choice, &fault));
	assert_int_equal(fault.reason, MIKEY_KRR_POLICY);
	assert_true(krr_choose(&krr, &any, kms, 1, &choice, &fault));
	assert_false(krr_choose(&krr, &strict, kms, 1, &choice, &fault));
	assert_int_equal(fault.reason, MIKEY_KRR_POLICY);
	krr.signature = MIKEY_UNTRUSTED;
	assert_false(krr_choose(&krr, &strict, kms, 1, &choice, &fault));
	krr.signature = MIKEY_VERIFIED;
	assert_true(krr_choose(&krr, &strict, kms, 1, &choice, &fault));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_written_is_read),
		cmocka_unit_test(lists_are_reduced),
		cmocka_unit_test(chains_end),
		cmocka_unit_test(other_krrs_are_refused),
		cmocka_unit_test(other_drafts_are_refused),
		cmocka_unit_test(signed_by_both),
		cmocka_unit_test(no_character_can_be_changed),
		cmocka_unit_test(signatures_of_others),
		cmocka_unit_test(signature_in_the_other_namespace),
		cmocka_unit_test(a_certificate_is_compared_whole),
		cmocka_unit_test(another_signature_value_is_refused),
		cmocka_unit_test(signed_by_xmlsec),
		cmocka_unit_test(choices),
		cmocka_unit_test(policies),
	};
	return cmocka_run_group_tests(tests, authors_make, NULL);
}
