// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <openssl/rand.h>

#include "crypto/sakke.h"
#include "crypto/sakke_kms.h"
#include "tests/unit/sakke_reference.h"
#include "tests/unit/vectors.h"

enum { N_RANDOM = 2, UID_LEN = 32, STACK_SIZE = 1 << 20, NEEDLE_LEN = 16 };

int __real_RAND_priv_bytes(unsigned char *octets, int n);
int __wrap_RAND_priv_bytes(unsigned char *octets, int n);

static bool random_fails;
static int n_beyond; // so many times RAND_priv_bytes() gives what is no z

int __wrap_RAND_priv_bytes(unsigned char *octets, int n)
{
	if (random_fails)
		return 0;
	if (n_beyond > 0) {
		memset(octets, n_beyond % 2 ? 0xff : 0, (size_t)n);
		n_beyond--;
		return 1;
	}
	return __real_RAND_priv_bytes(octets, n);
}

// A KMS, a user of it and a SED for the user.
struct subject {
	uint8_t z[SAKKE_SCALAR_LEN], z_point[SAKKE_POINT_LEN];
	uint8_t id[SAKKE_ID_MAX], rsk[SAKKE_POINT_LEN];
	size_t id_len;
	uint8_t ssv[SAKKE_SSV_LEN], sed[SAKKE_SED_LEN];
	struct sakke_kms *kms;
	struct sakke_receiver *receiver;
};

static void subject_open(struct subject *s)
{
	assert_int_equal(sakke_kms_make(s->z_point, &s->kms), SAKKE_OK);
	assert_int_equal(
		sakke_receiver_make(s->kms, s->id, s->id_len, s->rsk, &s->receiver), SAKKE_OK);
}

static void subject_close(struct subject *s)
{
	sakke_receiver_free(s->receiver);
	sakke_kms_free(s->kms);
}

// The one of RFC 6508 Appendix A.
static void subject_read(struct subject *s)
{
	struct vectors *vectors = vectors_read("sakke.txt");
	const struct vector *v = vectors_find(vectors, "rfc6508_A");
	uint8_t z[SAKKE_SCALAR_LEN];
	memset(s, 0, sizeof(*s));
	size_t z_len = vector_octets(v, "z", z, sizeof(z));
	memcpy(s->z + sizeof(s->z) - z_len, z, z_len);
	vector_octets(v, "Z", s->z_point, sizeof(s->z_point));
	s->id_len = vector_octets(v, "b", s->id, sizeof(s->id));
	vector_octets(v, "rsk", s->rsk, sizeof(s->rsk));
	vector_octets(v, "ssv", s->ssv, sizeof(s->ssv));
	vector_octets(v, "sed", s->sed, sizeof(s->sed));
	vectors_free(vectors);
}

// Of a KMS that is made for it.
static void subject_draw(struct subject *s)
{
	memset(s, 0, sizeof(*s));
	assert_int_equal(sakke_z_make(s->z, s->z_point), SAKKE_OK);
	s->id_len = UID_LEN;
	assert_int_equal(RAND_bytes(s->id, UID_LEN), 1);
	assert_int_equal(RAND_bytes(s->ssv, sizeof(s->ssv)), 1);
	assert_int_equal(sakke_rsk_make(s->z, s->id, s->id_len, s->rsk), SAKKE_OK);
}

static void agrees_with_rfc_6508(void **state)
{
	struct subject s;
	uint8_t point[SAKKE_POINT_LEN], sed[SAKKE_SED_LEN], ssv[SAKKE_SSV_LEN];
	bool short_w = true;
	(void)state;

	subject_read(&s);
	subject_open(&s);
	assert_int_equal(sakke_z_point_make(s.z, point), SAKKE_OK);
	assert_memory_equal(point, s.z_point, sizeof(point));
	assert_int_equal(sakke_rsk_make(s.z, s.id, s.id_len, point), SAKKE_OK);
	assert_memory_equal(point, s.rsk, sizeof(point));
	assert_int_equal(sakke_encapsulate(s.kms, s.id, s.id_len, s.ssv, sed, &short_w), SAKKE_OK);
	assert_memory_equal(sed, s.sed, sizeof(sed));
	assert_false(short_w);
	assert_int_equal(sakke_decapsulate(s.receiver, s.sed, false, ssv), SAKKE_OK);
	assert_memory_equal(ssv, s.ssv, sizeof(ssv));
	subject_close(&s);
}

// What another implementation encapsulated, in whole messages.
static void decapsulates_messages(void **state)
{
	struct vectors *vectors = vectors_read("imessage.txt");
	const struct vector *keys = vectors_find(vectors, "own_keys");
	size_t n_seen = 0;
	(void)state;

	for (size_t i = 0; i < vectors->n; i++) {
		const struct vector *v = &vectors->items[i];
		uint8_t ssv[SAKKE_SSV_LEN];
		struct subject s = {.id_len = UID_LEN};
		char key[16];
		if (!vector_has(v, "sed"))
			continue;
		vector_octets(keys, "kms_Z", s.z_point, sizeof(s.z_point));
		snprintf(key, sizeof(key), "%s_uid", vector_text(v, "responder"));
		vector_octets(keys, key, s.id, sizeof(s.id));
		snprintf(key, sizeof(key), "%s_rsk", vector_text(v, "responder"));
		vector_octets(keys, key, s.rsk, sizeof(s.rsk));
		vector_octets(v, "sed", s.sed, sizeof(s.sed));
		vector_octets(v, "ssv", s.ssv, sizeof(s.ssv));
		subject_open(&s);
		assert_int_equal(sakke_decapsulate(s.receiver, s.sed, false, ssv), SAKKE_OK);
		assert_memory_equal(ssv, s.ssv, sizeof(ssv));
		subject_close(&s);
		n_seen++;
	}
	assert_int_equal(n_seen, 3);
	vectors_free(vectors);
}

// KMSs, identities and SSVs of chance, each side against the plain reference.
static void agrees_with_reference(void **state)
{
	(void)state;
	for (int i = 0; i < N_RANDOM; i++) {
		uint8_t sed[SAKKE_SED_LEN], ssv[SAKKE_SSV_LEN], w[REFERENCE_NUMBER_LEN];
		struct subject s;
		bool short_w;
		subject_draw(&s);
		subject_open(&s);
		assert_int_equal(
			sakke_encapsulate(s.kms, s.id, s.id_len, s.ssv, s.sed, &short_w), SAKKE_OK);
		sakke_reference_encapsulate(s.z_point, s.id, s.id_len, s.ssv, false, sed, w);
		assert_memory_equal(sed, s.sed, sizeof(sed));
		assert_int_equal(short_w, w[0] == 0);
		assert_int_equal(sakke_decapsulate(s.receiver, sed, false, ssv), SAKKE_OK);
		assert_memory_equal(ssv, s.ssv, sizeof(ssv));
		memset(ssv, 0, sizeof(ssv));
		assert_true(
			sakke_reference_decapsulate(s.z_point, s.id, s.id_len, s.rsk, s.sed, ssv));
		assert_memory_equal(ssv, s.ssv, sizeof(ssv));
		subject_close(&s);
	}
}

// Identifiers of the shortest and the longest length.
static void takes_identifiers_of_all_lengths(void **state)
{
	static const size_t lens[] = {1, SAKKE_ID_MAX};
	(void)state;

	for (size_t i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
		struct subject s;
		uint8_t ssv[SAKKE_SSV_LEN];
		bool short_w;
		subject_draw(&s);
		memset(s.id, 0xff, sizeof(s.id));
		s.id_len = lens[i];
		assert_int_equal(sakke_rsk_make(s.z, s.id, s.id_len, s.rsk), SAKKE_OK);
		subject_open(&s);
		assert_int_equal(
			sakke_encapsulate(s.kms, s.id, s.id_len, s.ssv, s.sed, &short_w), SAKKE_OK);
		assert_int_equal(sakke_decapsulate(s.receiver, s.sed, false, ssv), SAKKE_OK);
		assert_memory_equal(ssv, s.ssv, sizeof(ssv));
		subject_close(&s);
	}
}

// Senders that hash w without its leading zero octets are understood only if that is asked for,
// and those that do not always.
static void understands_unpadded_w_if_asked(void **state)
{
	struct subject s;
	uint8_t sed[SAKKE_SED_LEN], w[REFERENCE_NUMBER_LEN], ssv[SAKKE_SSV_LEN] = {0};
	uint8_t untouched[SAKKE_SSV_LEN] = {0};
	bool short_w = false;
	(void)state;

	subject_read(&s);
	subject_open(&s);
	for (unsigned i = 0; !short_w; i++) {
		memcpy(s.ssv, &i, sizeof(i));
		assert_int_equal(
			sakke_encapsulate(s.kms, s.id, s.id_len, s.ssv, s.sed, &short_w), SAKKE_OK);
	}
	sakke_reference_encapsulate(s.z_point, s.id, s.id_len, s.ssv, true, sed, w);
	assert_int_equal(w[0], 0);
	assert_memory_equal(sed, s.sed, SAKKE_POINT_LEN);
	assert_memory_not_equal(sed, s.sed, sizeof(sed));
	assert_int_equal(sakke_decapsulate(s.receiver, sed, false, ssv), SAKKE_TEST);
	assert_memory_equal(ssv, untouched, sizeof(ssv));
	assert_int_equal(sakke_decapsulate(s.receiver, sed, true, ssv), SAKKE_OK);
	assert_memory_equal(ssv, s.ssv, sizeof(ssv));
	for (int unpadded = 0; unpadded < 2; unpadded++) {
		memset(ssv, 0, sizeof(ssv));
		assert_int_equal(sakke_decapsulate(s.receiver, s.sed, unpadded, ssv), SAKKE_OK);
		assert_memory_equal(ssv, s.ssv, sizeof(ssv));
	}
	subject_close(&s);
}

static void refuses_any_changed_octet(void **state)
{
	struct subject s;
	uint8_t ssv[SAKKE_SSV_LEN] = {0}, untouched[SAKKE_SSV_LEN] = {0};
	(void)state;

	subject_read(&s);
	subject_open(&s);
	for (size_t i = 0; i < SAKKE_SED_LEN; i++) {
		s.sed[i] ^= 1;
		assert_int_equal(sakke_decapsulate(s.receiver, s.sed, true, ssv),
			i < SAKKE_POINT_LEN ? SAKKE_R : SAKKE_TEST);
		s.sed[i] ^= 1;
	}
	assert_memory_equal(ssv, untouched, sizeof(ssv));
	subject_close(&s);
}

// y of a point becomes p - y.
static void point_negate(uint8_t octets[SAKKE_POINT_LEN])
{
	struct sakke_point point;
	assert_true(sakke_point_read(&point, octets));
	sakke_point_negate(&point, &point);
	sakke_point_write(&point, octets);
}

// Points of the curve that are not what they are given for: of other orders, another user's.
static void refuses_wrong_points(void **state)
{
	struct subject s, other;
	struct sakke_kms *kms = NULL;
	struct sakke_receiver *receiver = NULL;
	uint8_t points[3][SAKKE_POINT_LEN] = {{0}}, ssv[SAKKE_SSV_LEN] = {0};
	uint8_t untouched[SAKKE_SSV_LEN] = {0}, four[SAKKE_SCALAR_LEN] = {0};
	(void)state;

	subject_read(&s);
	subject_open(&s);
	points[0][0] = 4; // (0, 0), of order 2
	sakke_reference_find_point(5, points[1]);
	// [q] of that: of order 4
	for (int i = 0; i < MP1024_LEN; i++)
		four[MP1024_LEN - 1 - i] = (uint8_t)(sakke_q.m[i / 8] >> 8 * (i % 8));
	assert_true(sakke_reference_multiply(four, points[1], points[2]));
	for (size_t i = 0; i < 3; i++) {
		assert_int_equal(sakke_kms_make(points[i], &kms), SAKKE_Z);
		assert_int_equal(sakke_receiver_make(s.kms, s.id, s.id_len, points[i], &receiver),
			SAKKE_RSK);
		memcpy(s.sed, points[i], SAKKE_POINT_LEN);
		assert_int_equal(sakke_decapsulate(s.receiver, s.sed, true, ssv),
			i == 0 ? SAKKE_R : SAKKE_TEST);
	}
	// [4] of it has order q, and is nobody's key.
	memset(four, 0, sizeof(four));
	four[SAKKE_SCALAR_LEN - 1] = 4;
	assert_true(sakke_reference_multiply(four, points[1], points[2]));
	assert_int_equal(
		sakke_receiver_make(s.kms, s.id, s.id_len, points[2], &receiver), SAKKE_KEY_SET);
	memcpy(s.sed, points[2], SAKKE_POINT_LEN);
	assert_int_equal(sakke_decapsulate(s.receiver, s.sed, true, ssv), SAKKE_TEST);
	subject_close(&s);

	subject_read(&s);
	subject_open(&s);
	subject_draw(&other);
	subject_open(&other);
	assert_int_equal(sakke_decapsulate(other.receiver, s.sed, true, ssv), SAKKE_TEST);
	assert_int_equal(sakke_receiver_make(s.kms, other.id, other.id_len, other.rsk, &receiver),
		SAKKE_KEY_SET);
	assert_int_equal(sakke_receiver_make(s.kms, other.id, other.id_len, s.rsk, &receiver),
		SAKKE_KEY_SET);
	point_negate(s.rsk);
	assert_int_equal(
		sakke_receiver_make(s.kms, s.id, s.id_len, s.rsk, &receiver), SAKKE_KEY_SET);
	point_negate(s.sed);
	assert_int_equal(sakke_decapsulate(s.receiver, s.sed, true, ssv), SAKKE_TEST);
	assert_null(kms);
	assert_null(receiver);
	assert_memory_equal(ssv, untouched, sizeof(ssv));
	subject_close(&s);
	subject_close(&other);
}

// Forms, ranges and points off the curve, wherever a point is read.
static void refuses_bad_points(void **state)
{
	struct subject s;
	struct sakke_kms *kms = NULL;
	struct sakke_receiver *receiver = NULL;
	uint8_t bad[6][SAKKE_SED_LEN], ssv[SAKKE_SSV_LEN] = {0};
	(void)state;

	subject_read(&s);
	subject_open(&s);
	for (size_t i = 0; i < 6; i++)
		memcpy(bad[i], s.sed, SAKKE_SED_LEN);
	bad[0][0] = 0;
	bad[1][0] = 2;
	bad[2][0] = 6;
	memset(bad[3] + 1, 0xff, MP1024_LEN);
	memset(bad[4] + 1 + MP1024_LEN, 0xff, MP1024_LEN);
	memset(bad[5] + 1, 0, MP1024_LEN);
	// x = p, that is 0, with y = 0
	uint8_t p[SAKKE_SED_LEN] = {4};
	for (int i = 0; i < MP1024_LEN; i++)
		p[MP1024_LEN - i] = (uint8_t)(sakke_p.m[i / 8] >> 8 * (i % 8));
	for (size_t i = 0; i < 7; i++) {
		const uint8_t *point = i < 6 ? bad[i] : p;
		assert_int_equal(sakke_kms_make(point, &kms), SAKKE_Z);
		assert_int_equal(
			sakke_receiver_make(s.kms, s.id, s.id_len, point, &receiver), SAKKE_RSK);
		assert_int_equal(sakke_decapsulate(s.receiver, point, true, ssv), SAKKE_R);
	}
	assert_null(kms);
	assert_null(receiver);
	subject_close(&s);
}

static void refuses_bad_numbers(void **state)
{
	struct subject s;
	struct sakke_receiver *receiver = NULL;
	uint8_t bad[4][SAKKE_SCALAR_LEN] = {{0}}, out[SAKKE_SED_LEN], untouched[SAKKE_SED_LEN];
	bool short_w = false;
	(void)state;

	subject_read(&s);
	subject_open(&s);
	memset(out, 0xa5, sizeof(out));
	memset(untouched, 0xa5, sizeof(untouched));
	bad[1][SAKKE_SCALAR_LEN - 1] = 1;
	for (int i = 0; i < MP1024_LEN; i++)
		bad[2][MP1024_LEN - 1 - i] = (uint8_t)(sakke_q.m[i / 8] >> 8 * (i % 8));
	memset(bad[3], 0xff, SAKKE_SCALAR_LEN);
	for (size_t i = 0; i < 4; i++) {
		assert_int_equal(sakke_z_point_make(bad[i], out), SAKKE_SCALAR);
		assert_int_equal(sakke_rsk_make(bad[i], s.id, s.id_len, out), SAKKE_SCALAR);
	}
	for (size_t id_len = 0; id_len <= SAKKE_ID_MAX + 1; id_len += SAKKE_ID_MAX + 1) {
		assert_int_equal(
			sakke_encapsulate(s.kms, s.id, id_len, s.ssv, out, &short_w), SAKKE_ID);
		assert_int_equal(
			sakke_receiver_make(s.kms, s.id, id_len, s.rsk, &receiver), SAKKE_ID);
		assert_int_equal(sakke_rsk_make(s.z, s.id, id_len, out), SAKKE_ID);
	}
	// z = q - b: [b]P + Z is the point at infinity, and 1 / (b + z) is not there.
	memcpy(s.z, bad[2], sizeof(s.z));
	memset(s.id, 0, sizeof(s.id));
	s.id_len = 1;
	s.id[0] = 1;
	s.z[SAKKE_SCALAR_LEN - 1]--;
	assert_int_equal(sakke_rsk_make(s.z, s.id, s.id_len, out), SAKKE_ID);
	assert_memory_equal(out, untouched, sizeof(out));
	struct sakke_kms *kms;
	assert_int_equal(sakke_z_point_make(s.z, s.z_point), SAKKE_OK);
	assert_int_equal(sakke_kms_make(s.z_point, &kms), SAKKE_OK);
	assert_int_equal(sakke_receiver_make(kms, s.id, s.id_len, s.rsk, &receiver), SAKKE_ID);
	assert_int_equal(
		sakke_encapsulate(kms, s.id, s.id_len, s.ssv, out, &short_w), SAKKE_LIBRARY);
	sakke_kms_free(kms);
	// b = 0
	s.id[0] = 0;
	assert_int_equal(sakke_receiver_make(s.kms, s.id, s.id_len, s.rsk, &receiver), SAKKE_ID);
	assert_null(receiver);
	assert_memory_equal(out, untouched, sizeof(out));
	assert_string_equal(sakke_status_text(SAKKE_R), "R is not a point of the curve");
	subject_close(&s);
}

static void draws_z_until_it_is_one(void **state)
{
	uint8_t z[SAKKE_SCALAR_LEN], z_point[SAKKE_POINT_LEN], point[SAKKE_POINT_LEN];
	uint8_t untouched[SAKKE_SCALAR_LEN];
	(void)state;

	memset(z, 0xa5, sizeof(z));
	memset(untouched, 0xa5, sizeof(untouched));
	memset(z_point, 0xa5, sizeof(z_point));
	random_fails = true;
	assert_int_equal(sakke_z_make(z, z_point), SAKKE_LIBRARY);
	random_fails = false;
	assert_memory_equal(z, untouched, sizeof(z));
	n_beyond = 5;
	assert_int_equal(sakke_z_make(z, z_point), SAKKE_OK);
	assert_int_equal(sakke_z_point_make(z, point), SAKKE_OK);
	assert_memory_equal(z_point, point, sizeof(point));
	n_beyond = 1 << 20;
	assert_int_equal(sakke_z_make(z, z_point), SAKKE_LIBRARY);
	n_beyond = 0;
	assert_memory_equal(z_point, point, sizeof(point));
}

// One step of all that is secret, done on a stack that is looked at afterwards.
struct run {
	struct subject *subject;
	int step;
	enum sakke_status status;
};

enum { N_STEPS = 5 };

static void *step_run(void *arg)
{
	struct run *run = arg;
	struct subject *s = run->subject;
	bool short_w;
	switch (run->step) {
	case 0:
		run->status = sakke_z_point_make(s->z, s->z_point);
		break;
	case 1:
		run->status = sakke_rsk_make(s->z, s->id, s->id_len, s->rsk);
		break;
	case 2:
		run->status = sakke_encapsulate(s->kms, s->id, s->id_len, s->ssv, s->sed, &short_w);
		break;
	case 3:
		run->status = sakke_receiver_make(s->kms, s->id, s->id_len, s->rsk, &s->receiver);
		break;
	default:
		run->status = sakke_decapsulate(s->receiver, s->sed, false, s->ssv);
	}
	return NULL;
}

static void step_run_on(uint8_t *stack, struct run *run)
{
	pthread_attr_t attr;
	pthread_t thread;
	memset(stack, 0, STACK_SIZE);
	assert_int_equal(pthread_attr_init(&attr), 0);
	assert_int_equal(pthread_attr_setstack(&attr, stack, STACK_SIZE), 0);
	assert_int_equal(pthread_create(&thread, &attr, step_run, run), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
	pthread_attr_destroy(&attr);
	assert_int_equal(run->status, SAKKE_OK);
}

static void assert_not_found(const uint8_t *stack, const void *needle)
{
	assert_null(memmem(stack, STACK_SIZE, needle, NEEDLE_LEN));
}

// An element as it stands in memory, as a number does, and as octets.
static void assert_number_not_found(
	const uint8_t *stack, const uint8_t octets[MP1024_LEN], const struct mp1024_modulus *m)
{
	struct mp1024 plain, element;
	mp1024_plain_read(&plain, octets);
	mp1024_from_plain(&element, &plain, m);
	assert_not_found(stack, octets);
	assert_not_found(stack, octets + MP1024_LEN - NEEDLE_LEN);
	assert_not_found(stack, plain.l);
	assert_not_found(stack, plain.l + MP1024_LIMBS - 2);
	assert_not_found(stack, element.l);
	assert_not_found(stack, element.l + MP1024_LIMBS - 2);
}

// r of RFC 6508 6.2.1 as octets.
static void r_write(const struct subject *s, uint8_t octets[MP1024_LEN])
{
	uint8_t hashed[SAKKE_SSV_LEN + UID_LEN];
	struct mp1024 r;
	memcpy(hashed, s->ssv, SAKKE_SSV_LEN);
	memcpy(hashed + SAKKE_SSV_LEN, s->id, UID_LEN);
	assert_true(sakke_hash_to_scalar(hashed, sizeof(hashed), &r));
	for (int i = 0; i < MP1024_LEN; i++)
		octets[MP1024_LEN - 1 - i] = (uint8_t)(r.l[i / 8] >> 8 * (i % 8));
}

static void leaves_no_secret_on_the_stack(void **state)
{
	struct subject s;
	static _Alignas(4096) uint8_t stack[STACK_SIZE];
	uint8_t sed[SAKKE_SED_LEN], w[REFERENCE_NUMBER_LEN], r[MP1024_LEN];
	(void)state;

	subject_draw(&s);
	assert_int_equal(sakke_kms_make(s.z_point, &s.kms), SAKKE_OK);
	r_write(&s, r);
	sakke_reference_encapsulate(s.z_point, s.id, s.id_len, s.ssv, false, sed, w);
	for (int step = 0; step < N_STEPS; step++) {
		step_run_on(stack, &(struct run){.subject = &s, .step = step});
		assert_not_found(stack, s.ssv);
		assert_number_not_found(stack, w, &sakke_p);
		assert_number_not_found(stack, r, &sakke_q);
		assert_number_not_found(stack, s.z, &sakke_q);
		assert_number_not_found(stack, s.rsk + 1, &sakke_p);
		assert_number_not_found(stack, s.rsk + 1 + MP1024_LEN, &sakke_p);
	}
	subject_close(&s);
}

static void frees_nothing(void **state)
{
	(void)state;
	sakke_kms_free(NULL);
	sakke_receiver_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(agrees_with_rfc_6508),
		cmocka_unit_test(decapsulates_messages),
		cmocka_unit_test(agrees_with_reference),
		cmocka_unit_test(takes_identifiers_of_all_lengths),
		cmocka_unit_test(understands_unpadded_w_if_asked),
		cmocka_unit_test(refuses_any_changed_octet),
		cmocka_unit_test(refuses_wrong_points),
		cmocka_unit_test(refuses_bad_points),
		cmocka_unit_test(refuses_bad_numbers),
		cmocka_unit_test(draws_z_until_it_is_one),
		cmocka_unit_test(leaves_no_secret_on_the_stack),
		cmocka_unit_test(frees_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
